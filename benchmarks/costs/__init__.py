"""What one of each thing costs, for `custody size`; and how well its model predicts a run that it was not made from."""
