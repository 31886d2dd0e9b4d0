"""Heads trained apart from the key: tasks as folders, the process, label orders."""
