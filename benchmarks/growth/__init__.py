"""The archive worker and `custody report` on a store that holds little, and on stores that hold much."""
