"""What packing the producer's batches costs and saves, with entries as the edge appends them."""
