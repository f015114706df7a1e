"""Reads metrics as Prometheus does, strictly and as its older readers do; prints what both found."""

import json
import sys

from prometheus_client import parser
from prometheus_client.openmetrics import parser as openmetrics

text = sys.stdin.read()


def samples(families):
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in families
        for sample in family.samples
    }


families = list(openmetrics.text_string_to_metric_families(text))
strict = samples(families)
older = samples(parser.text_string_to_metric_families(text))
assert strict == older, "the two readers differ"
print(
    json.dumps(
        {
            "families": {family.name: [family.type, family.documentation] for family in families},
            "samples": [[name, dict(labels), value] for (name, labels), value in strict.items()],
        }
    )
)
