"""`python -m ontogeny`: the command line."""

from __future__ import annotations

import sys

from ontogeny.cli import main

sys.exit(main())
