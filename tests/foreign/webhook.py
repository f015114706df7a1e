"""Verifies a webhook with the official library of Standard Webhooks.

Reads {"secret", "headers", "body"} as JSON from the standard input and prints what the body says, or
fails.
"""

import json
import sys

from standardwebhooks import Webhook

sent = json.load(sys.stdin)
print(json.dumps(Webhook(sent["secret"]).verify(sent["body"], sent["headers"])))
