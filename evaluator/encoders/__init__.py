"""Models built from architectures, contrastive ones here, and the device they run on. choices.py is torch-free."""

import os

# torch's OpenMP threads spin while they wait, against the threads that decode images: 5 to 8 times slower on two busy
# cores. The library reads this once, when torch is first imported.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
