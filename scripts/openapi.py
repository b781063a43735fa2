#!/usr/bin/env python3
"""Write the service's OpenAPI document to docs/openapi.json.

    scripts/openapi.py

Refuses when the document has changed and the version in pyproject.toml has not. Exit status: 0 written, 1 refused.
"""

from interpreter import enter

enter("app.openapi", __doc__)
