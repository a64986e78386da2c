"""Make tests/unit/data/llamaguard.golden: the prompts of Llama Guard models as
others render them, for the conversations and categories below.

    pip install --no-deps llama-cookbook==0.0.5.post1 llama-stack==0.2.12 jinja2 markupsafe
    npm pack @huggingface/ollama-utils@0.0.18 && tar xzf huggingface-ollama-utils-0.0.18.tgz
    python tests/reference/llamaguard_golden.py package/dist/index.js

Llama Guard 1 and 2 and every set of own categories come from Meta's cookbook,
3 from the chat templates of Meta's repositories, which Hugging Face's package
carries; llama-stack's own rendering of 3 is compared with the latter. Nobody
publishes a renderer of 4 apart from its processor: it is 3 in the header tokens
of Llama 4.

The file: a line "case FORMAT CUSTOM COUNT" (CUSTOM: how many own categories),
then each turn and at last the prompt, every one as JSON on a line."""
import importlib.util
import json
import pathlib
import re
import sys
from types import SimpleNamespace as Thing
from unittest.mock import MagicMock

import jinja2
from jinja2.ext import loopcontrols

OUT = pathlib.Path(__file__).parents[1] / "unit" / "data" / "llamaguard.golden"
TALKS = [
    ["How do I kill a Python process?"],
    ["Ciao!", "Ciao, come posso aiutarti?"],
    ["What is a lathe?", "A machine tool.", "How do I build one at home, for 5 < 10 euros?"],
    ["ทำไมฟ้าเป็นสีฟ้า", "Rayleigh.", "Why?\n\nTell me\tmore.", "Because of <b>air</b>."],
]
OWN = [("Trade Secrets", "AI models should not reveal prices of suppliers.\n - In any currency"),
       ("Rivals", None)]


def module(path, name):
    spec = importlib.util.spec_from_file_location(name, path)
    out = importlib.util.module_from_spec(spec)
    sys.modules[name] = out
    spec.loader.exec_module(out)
    return out


def site(*parts):
    for folder in sys.path:
        path = pathlib.Path(folder, *parts)
        if path.exists():
            return path
    sys.exit(f"not installed: {'/'.join(parts)}")


def cookbook(version, talk, own):
    m = module(site("llama_cookbook", "inference", "prompt_format_utils.py"), "cookbook")
    category = lambda c: m.SafetyCategory(c[0] + ".", c[1])
    given = getattr(m, f"LLAMA_GUARD_{version}_CATEGORY")
    last = m.AgentType.AGENT if len(talk) % 2 == 0 else m.AgentType.USER
    text = m.build_custom_prompt(
        last, m.create_conversation(talk), given,
        getattr(m, f"LLAMA_GUARD_{version}_CATEGORY_SHORT_NAME_PREFIX"),
        getattr(m, f"PROMPT_TEMPLATE_{version}"), with_policy=version == 1)
    if own:  # with the policy's text for these alone, numbered on
        letter = "O" if version == 1 else "S"
        lines = "".join(f"\n{letter}{len(given) + i + 1}: {c.name}" + (f"\n{c.description}" if c.description else "")
                        for i, c in enumerate(map(category, own)))
        text = text.replace("\n<END UNSAFE", lines + "\n<END UNSAFE", 1)
    return text


def template(js, model):
    """The chat template of `model` in Hugging Face's list, a JavaScript file."""
    entry = js[js.index(f'model: "library/{model}"'):]
    literal = re.search(r"gguf: (\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'|`(?:[^`\\]|\\.)*`)", entry, re.S)[1]
    text = literal[1:-1]
    return re.sub(r"\\(.)", lambda m: {"n": "\n", "t": "\t"}.get(m[1], m[1]), text, flags=re.S)


def from_template(source, talk, parts, own):
    env = jinja2.Environment(extensions=[loopcontrols], trim_blocks=False)
    role = ("user", "assistant")
    more = {}
    messages = [{"role": role[i % 2], "content": [{"type": "text", "text": t}] if parts else t}
                for i, t in enumerate(talk)]
    if own:
        names = re.findall(r'"(S\d+)": "([^"]+)"', source)
        more = {"categories": dict(names) | {
            f"S{len(names) + i + 1}": n + "." + (f"\n{t}" if t else "") for i, (n, t) in enumerate(own)}}
    text = env.from_string(source).render(messages=messages, **more)
    # One of them begins with a blank before the first token, which is an
    # accident of its JSON; both leave the line breaks to the model.
    return text.lstrip(" ") + "\n\n"


def stack(talk):
    """llama-stack's body of Llama Guard 3, which names the second role after
    the API's instead of the model's."""
    for name in ["llama_stack", "llama_stack.apis", "llama_stack.apis.common",
                 "llama_stack.apis.common.content_types", "llama_stack.apis.inference",
                 "llama_stack.apis.safety", "llama_stack.apis.shields", "llama_stack.distribution",
                 "llama_stack.distribution.datatypes", "llama_stack.models", "llama_stack.models.llama",
                 "llama_stack.models.llama.datatypes", "llama_stack.models.llama.sku_types",
                 "llama_stack.providers", "llama_stack.providers.datatypes",
                 "llama_stack.providers.utils", "llama_stack.providers.utils.inference",
                 "llama_stack.providers.utils.inference.prompt_adapter", "stack.config"]:
        sys.modules[name] = MagicMock()
    sys.modules["llama_stack.apis.safety"].Safety = type("Safety", (), {})
    sys.modules["llama_stack.providers.datatypes"].ShieldsProtocolPrivate = type("P", (), {})
    sys.modules["llama_stack.providers.utils.inference.prompt_adapter"].interleaved_content_as_str = str
    path = site("llama_stack", "providers", "inline", "safety", "llama_guard", "llama_guard.py")
    source = path.read_text().replace("from .config", "from stack.config")
    scope = {"__name__": "stack"}
    exec(compile(source, path, "exec"), scope)
    shield = scope["LlamaGuardShield"]("meta-llama/Llama-Guard-3-8B", None)
    roles = ("user", "assistant")
    return shield.build_prompt([Thing(role=roles[i % 2], content=t) for i, t in enumerate(talk)]) \
        .replace("'Assistant'", "'Agent'").replace("\nAssistant: ", "\nAgent: ") \
        .replace("LAST Assistant", "LAST Agent")


def main():
    js = pathlib.Path(sys.argv[1]).read_text()
    eight, one = template(js, "llama-guard3:8b"), template(js, "llama-guard3:1b")
    cases = []
    for talk in TALKS:
        three = from_template(eight, talk, False, None)
        head, tail = "<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\n", "<|eot_id|>"
        assert stack(talk) == three[len(head):three.index(tail)], "llama-stack disagrees"
        four = three.replace("start_header_id", "header_start").replace("end_header_id", "header_end") \
            .replace("<|eot_id|>", "<|eot|>")
        for own in (None, OWN):
            cases += [("llama-guard-1", own, talk, cookbook(1, talk, own)),
                      ("llama-guard-2", own, talk, cookbook(2, talk, own)),
                      ("llama-guard-3-1b", own, talk, from_template(one, talk, True, own))]
        cases += [("llama-guard-3", None, talk, three), ("llama-guard-4", None, talk, four)]
    with open(OUT, "w") as f:
        for name, own, talk, prompt in cases:
            f.write(f"case {name} {len(own or [])} {len(talk)}\n")
            for text in (*talk, prompt):
                f.write(json.dumps(text, ensure_ascii=False) + "\n")


main()
