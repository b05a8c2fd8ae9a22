"""How fast a bundle is on this machine, so that the figures can be believed.

report.py  schema.py         the document of a run, and its published JSON schema
clock.py                     the clocks; a test puts in one that it moves by hand
images.py  scopes.py         what is run, and how much of it is timed
rounds.py                    one process: warm-up, then rounds of every scope and scenario
cold_start.py                a fresh process: from its start to its first tile
correctness.py               whether the answers of the very run that was timed are right
sensors.py  nvidia_smi.py    governor, clocks, temperature, throttling; null with a reason where there is none
worker.py  processes.py      the fresh processes, and the run that starts them
quantiles.py  summary.py     samples to figures with intervals
stability.py                 stable, noisy or throttled
comparability.py  comparison.py   whether two runs may be compared, and which is faster
plot.py                      the picture
"""
