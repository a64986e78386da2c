"""Whether what grammars let through is valid, by PyPI's jsonschema: 1,000
random schemas and texts sampled at temperature 1 under their masks.

    pip install jsonschema rfc3339-validator
    build/tests/test_grammar_schema --print 1000 | python tests/reference/grammar_check.py"""
import json
import sys

from jsonschema import Draft202012Validator
from jsonschema.validators import validator_for


def main():
    schemas = texts = 0
    refused, wrong = [], []
    for line in sys.stdin:
        row = json.loads(line)
        schemas += 1
        if row.get("refused"):
            refused.append(row["seed"])
            continue
        Draft202012Validator.check_schema(row["schema"])
        validator = Draft202012Validator(
            row["schema"], format_checker=validator_for(row["schema"]).FORMAT_CHECKER)
        for value in row["texts"]:
            texts += 1
            errors = list(validator.iter_errors(value))
            if errors:
                wrong.append((row["seed"], value, errors[0].message))
    for seed, value, message in wrong[:5]:
        print(f"seed {seed}: {json.dumps(value)[:200]}: {message[:200]}")
    print(f"{schemas} schemas, {len(refused)} refused, {texts} texts, {len(wrong)} not valid")
    if wrong or schemas == 0 or len(refused) > schemas // 50:
        sys.exit(1)


if __name__ == "__main__":
    main()
