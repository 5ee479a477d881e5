"""Runs a program on a terminal of its own and exits as it does: terminal.py PROGRAM [ARGUMENT…]"""

import os
import pty
import sys

os.environ.update(LINES="40", COLUMNS="120")
sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))
