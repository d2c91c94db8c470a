"""`python -m stmnet`, where the command itself is not on the path."""

import sys

from stmnet.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
