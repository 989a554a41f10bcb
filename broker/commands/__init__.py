"""The commands, a module for each group of them. They print, and leave decisions to what they call."""
