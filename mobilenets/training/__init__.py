import os

# Before torch is imported: waiting threads of one operation must sleep. By default they spin, and where another program
# uses a core, an operation of 0.7 s takes half a minute.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
