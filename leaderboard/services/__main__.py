"""`python -m leaderboard.services stop VAR [NAME]`: stop servers that a program left running."""

import sys
from pathlib import Path

from leaderboard import services

if __name__ == "__main__":
    match sys.argv[1:]:
        case ["stop", var_dir, *name] if len(name) < 2:
            stopped = services.stop_leftovers(Path(var_dir), name=(name or ["demo"])[0])
            sys.stdout.write("stopped\n" if stopped else "nothing was running\n")
        case _:
            sys.exit(__doc__)
