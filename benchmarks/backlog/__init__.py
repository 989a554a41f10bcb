"""Ten times the backlog in a worker of bounded memory: does it drain at the same rate?"""
