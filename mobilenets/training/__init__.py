import os

# Before torch is imported: threads of one operation that wait for each other sleep. As they come they spin, and where
# another program has a core, what takes 0.7 s takes half a minute.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
