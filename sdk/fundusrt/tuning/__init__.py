"""Threads and batch that suit a bundle on this machine: measured once, used where they are asked for by name.

record.py    the file, one a machine and bundle
search.py    measures the choices
choice.py    what `fundusrt.load(threads="tuned")` takes from the file
"""
