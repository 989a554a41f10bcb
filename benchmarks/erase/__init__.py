"""The erase worker carrying out deletion commands, next to a bare client that deletes the same objects."""
