"""Tools, and what people say who need them, out of a text file: its lines are
explained at the head of tools/catalogue.txt. A kind of argument draws a value
and the words for it; everything is drawn from a seeded generator."""
import json
import os
import random
import re

HERE = os.path.dirname(os.path.abspath(__file__))

WORDS = {
    "city": "Rome|Berlin|Paris|Madrid|Lisbon|Tokyo|New York|Chicago|Oslo|Vienna|Prague|Dublin|"
            "Toronto|Sydney|Mumbai|Bangkok|Cairo|Lima|Boston|Naples|Hamburg|Lyon|Porto|Seville|"
            "Munich|Turin|Seattle|Denver|Kyoto|Delhi|Athens|Warsaw|Zurich|Geneva|Milan|Valencia",
    "country": "Italy|Germany|France|Spain|Portugal|Sweden|Poland|Austria|Ireland|Greece|Norway|Hungary",
    "person": "Anna|Marco|Julia|Peter|Mum|Dad|my sister|Tom|Lucia|Ahmed|Priya|Somchai|Mrs Keller|"
              "my boss|Jonas|Elena|Rafael|Chloe|Grandma|Ben|Nina|Dr Moore|my brother|Sara",
    "email": "anna.k@example.com|info@acme.example|marco@example.org|j.smith@example.net|"
             "support@shop.example|team@example.org|lucia.rossi@example.it|boss@example.com|"
             "hr@firm.example|nina22@example.de|press@museum.example|t.wong@example.org",
    "subject": "Invoice 2291|Meeting notes|Holiday plans|Lunch on Friday|Project status|Welcome|"
               "Your application|Question about the lease|Budget draft|Team dinner|Swimming|The gym",
    "sentence": "I will be ten minutes late.|the meeting moved to Thursday.|we need more milk.|"
                "See you at the station.|the report is ready.|Happy birthday!|Where is the museum?|"
                "I love this song.|Good luck tomorrow!|the train is delayed.|dinner is at eight.|"
                "please call me back.|the keys are under the mat.|Thank you for your help.|"
                "we won the match.|Can we talk later?|the parcel has arrived.|I am on my way.|"
                "the garden needs water.|My flight lands at noon.|let us postpone the trip.",
    "chore": "call the dentist|water the plants|pay the rent|buy a birthday cake|feed the cat|"
             "take out the bins|renew my passport|send the invoice|book the hotel|pick up the kids|"
             "return the library books|take my pills|charge the car|clean the windows",
    "event": "a dentist appointment|team meeting|lunch with Anna|the school play|yoga class|"
             "a call with the bank|Tom's birthday party|the budget review|a haircut|football training",
    "language": "French|German|Italian|Spanish|Portuguese|Hindi|Thai|English|Dutch|Polish|Japanese",
    "topic": "electric cars|the history of tea|solar panels|the election|black holes|Roman roads|"
             "home insurance|vegan cooking|the housing market|chess openings|climate policy|"
             "the tax return|parental leave|garden design|travel insurance|the Vikings|sourdough",
    "url": "https://example.org|https://example.com/news|https://blog.example.net/post/7|"
           "http://shop.example/offers|https://docs.example.org/setup|https://example.edu/library",
    "file": "notes.txt|report.md|todo.txt|docs/plan.md|budget.csv|letter.txt|ideas/book.md|log.txt|"
            "recipes/cake.txt|data/prices.json",
    "code": "print(2**10)|print(sum(range(10)))|print(len('banana'))|print(7 * 8)|print(max(3, 9, 4))|"
            "print(100 // 7)|print(abs(-12))|print(sum([4, 5, 6]))",
    "sql": "SELECT count(*) FROM orders|SELECT name FROM customers LIMIT 5|SELECT max(price) FROM products|"
           "SELECT sum(total) FROM invoices WHERE paid = 0|SELECT id FROM orders WHERE status = 'open'",
    "ticker": "AAPL|MSFT|TSLA|SAP|AMZN|NVDA|BMW|SHEL|IBM|ORCL|GOOG|META",
    "restaurant": "Da Mario|The Blue Door|Chez Louise|Sushi Ko|Golden Lotus|Casa Pepe|The Old Mill|Zum Anker",
    "song": "Bohemian Rhapsody|jazz|the Beatles|Yesterday|Miles Davis|classical music|Adele|Clair de Lune|"
            "some blues|Hey Jude|Mozart|Thriller",
    "room": "kitchen|bedroom|living room|bathroom|hall|office|garage|dining room|guest room|cellar",
    "grocery": "milk|eggs|bread|butter|apples|coffee|rice|tomatoes|cheese|onions|olive oil|flour|bananas",
    "order": "A-1042|48213|ORD-7718|990017|B2-5561|XK-2009|77120|R-3301|2024-118|556677",
    "reason": "it takes too long|I found it cheaper|I ordered it twice|I changed my mind",
    "product": "desk lamp|winter jacket|coffee machine|running shoes|backpack|keyboard|garden chair|"
               "water bottle|tent|headphones|office chair|rain coat",
    "word": "serendipity|ephemeral|candour|oblique|zenith|frugal|resilient|ambiguous|lucid|novel|quaint",
    "person_known": "Marie Curie|Alan Turing|the Eiffel Tower|Leonardo da Vinci|the Black Sea|Ada Lovelace|"
                    "Mount Fuji|the printing press|Isaac Newton|the Silk Road|Frida Kahlo",
    "problem": "the printer does not work|the login page is blank|the app crashes at start|"
               "the heating is broken|I cannot upload photos|the invoice is wrong",
    "dish": "lasagne|chicken curry|pancakes|tomato soup|paella|apple pie|pad thai|goulash|risotto|falafel",
    "film": "Casablanca|The Godfather|Amelie|Spirited Away|Metropolis|Jaws|Roman Holiday|Blade Runner|"
            "Cinema Paradiso|The Third Man|Vertigo|Alien",
    "fact": "The bridge was opened in 1932.|It closes at six in the evening.|There are twelve members.|"
            "The festival begins in May.|Entry is free for children.|The river is 320 km long.|"
            "It lasts about two hours.|The museum has four floors.|It was first built of wood.",
    "weekday": "Monday|Tuesday|Wednesday|Thursday|Friday|Saturday|Sunday",
}
DAYS = [("today", "today"), ("tomorrow", "tomorrow"), ("tonight", "today"), ("on Monday", "Monday"),
        ("on Tuesday", "Tuesday"), ("on Wednesday", "Wednesday"), ("on Thursday", "Thursday"),
        ("on Friday", "Friday"), ("on Saturday", "Saturday"), ("this Sunday", "Sunday"),
        ("on May 3", "May 3"), ("on 12 June", "12 June"), ("on 2026-08-14", "2026-08-14")]
CURRENCIES = [("euros", "EUR"), ("dollars", "USD"), ("US dollars", "USD"), ("pounds", "GBP"),
              ("yen", "JPY"), ("Swiss francs", "CHF"), ("baht", "THB"), ("rupees", "INR"),
              ("EUR", "EUR"), ("USD", "USD"), ("GBP", "GBP"), ("CHF", "CHF"), ("SEK", "SEK")]
ZONES = [("Rome", "Europe/Rome"), ("Berlin", "Europe/Berlin"), ("Paris", "Europe/Paris"),
         ("London", "Europe/London"), ("Madrid", "Europe/Madrid"), ("Lisbon", "Europe/Lisbon"),
         ("Tokyo", "Asia/Tokyo"), ("New York", "America/New_York"), ("Chicago", "America/Chicago"),
         ("Sydney", "Australia/Sydney"), ("Bangkok", "Asia/Bangkok"), ("Dubai", "Asia/Dubai"),
         ("Singapore", "Asia/Singapore"), ("Moscow", "Europe/Moscow"), ("Cairo", "Africa/Cairo"),
         ("Athens", "Europe/Athens"), ("Vienna", "Europe/Vienna"), ("Los Angeles", "America/Los_Angeles")]
UNITS = [("miles", "kilometres"), ("kilometres", "miles"), ("feet", "metres"), ("inches", "centimetres"),
         ("pounds", "kilograms"), ("kilograms", "pounds"), ("ounces", "grams"), ("litres", "gallons"),
         ("Celsius", "Fahrenheit"), ("Fahrenheit", "Celsius"), ("hours", "minutes"), ("acres", "hectares")]
SUM_WORDS = {"+": ("+", "plus"), "-": ("-", "minus"), "*": ("*", "times", "x"),
             "/": ("/", "divided by")}


def number_of(low, high, rng, whole):
    value = rng.randint(int(low), int(high))
    if not whole and rng.random() < 0.2:
        value += rng.choice((0.5, 0.25, 0.75))
    return str(value), value


def sum_of(rng):
    def pair():
        sign = rng.choice("+-**/")
        return f"{rng.randint(2, 99)} {sign} {rng.randint(2, 60)}"
    value = pair()
    if rng.random() < 0.35:
        value = f"({value}) {rng.choice('*/')} {rng.randint(2, 12)}"
    elif rng.random() < 0.2:
        value = f"{value} {rng.choice('+-')} {rng.randint(2, 50)}"
    said = value
    if "(" not in value and rng.random() < 0.5:
        said = " ".join(rng.choice(SUM_WORDS[w]) if w in SUM_WORDS else w for w in value.split(" "))
    return said, value


def clock_of(rng):
    hour, minute = rng.randint(0, 23), rng.choice((0, 0, 0, 15, 30, 45))
    value = f"{hour:02}:{minute:02}"
    if minute == 0 and rng.random() < 0.4:
        return f"{(hour + 11) % 12 + 1} {'am' if hour < 12 else 'pm'}", value
    return (f"{hour}:{minute:02}" if rng.random() < 0.4 else value), value


def list_of(kind, low, high, rng):
    if kind == "int":
        kind = "int:1:99"
    drawn = []
    for _ in range(rng.randint(int(low), int(high))):
        drawn.append(draw(kind, rng))
        if drawn[-1] in drawn[:-1]:
            drawn.pop()
    words = [w for w, _ in drawn]
    said = ", ".join(words[:-1]) + " and " + words[-1] if len(words) > 1 else words[0]
    return said, [v for _, v in drawn]


def draw(kind, rng):
    """(words, value) of a kind such as "city", "int:1:9", "list:city:2:3" or
    "enum:on=on/lit,off=off"."""
    name, *rest = kind.split(":", 1)
    if name == "list":
        return list_of(*rest[0].split(":"), rng)
    if name == "bool":
        words, value = draw("enum:" + rest[0], rng)
        return words, value == "true"
    if name in ("int", "number"):
        low, high = rest[0].split(":")
        return number_of(low, high, rng, name == "int")
    if name == "enum":
        value, words = rng.choice(rest[0].split(",")).split("=")
        return rng.choice(words.split("/")), value
    if name == "pick":
        return (rng.choice(rest[0].split(",")),) * 2
    if name == "sum":
        return sum_of(rng)
    if name == "clock":
        return clock_of(rng)
    for pairs, of in ((DAYS, "day"), (CURRENCIES, "currency"), (ZONES, "zone")):
        if name == of:
            return rng.choice(pairs)
    return (rng.choice(WORDS[name].split("|")),) * 2


def json_type(kind):
    name = kind.split(":")[0]
    return {"int": "integer", "number": "number", "bool": "boolean", "list": "array"}.get(name, "string")


class Tool:
    def __init__(self, names):
        self.names, self.descriptions, self.arguments = names.split("|"), [], []
        self.result, self.answers, self.says, self.missing = "{}", [], [], []
        self.languages = {}  # what is said in others than English: (answers, requests)


def read(name):
    tools = []
    with open(f"{HERE}/tools/{name}.txt", encoding="utf-8") as f:
        for number, line in enumerate(f, 1):
            line = line.strip()
            if not line or line.startswith("#"):
                continue
            mark, rest = line[0], line[2:].strip()
            tool = tools[-1] if tools else None
            if mark == "T":
                tools.append(Tool(rest))
                answers, says = tools[-1].answers, tools[-1].says
            elif mark == "L":
                answers, says = tool.languages.setdefault(rest, ([], []))
            elif mark == "D":
                tool.descriptions += rest.split("|")
            elif mark == "P":
                keys, kind, words = rest.split(" : ", 2)
                keys = [k.strip() for k in keys.split("|")]
                tool.arguments.append((keys, kind.rstrip("!"), kind.endswith("!"), words.split("|")))
            elif mark == "R":
                tool.result = rest
            elif mark == "A":
                answers.append(rest)
            elif mark == "S":
                says.append(rest)
            elif mark == "M":
                tool.missing.append(rest.split(" => "))
            else:
                raise ValueError(f"{name}.txt:{number}: {line}")
    return tools


class Offer:
    """A tool as one request declares it: with a name, keys and words drawn."""

    def __init__(self, tool, rng):
        self.tool = tool
        self.name = rng.choice(tool.names)
        if rng.random() < 0.1:
            self.name = "".join(w.title() if i else w for i, w in enumerate(self.name.split("_")))
        self.keys = [rng.choice(keys) for keys, *_ in tool.arguments]
        if len(set(self.keys)) < len(self.keys):
            self.keys = [keys[0] for keys, *_ in tool.arguments]
        properties, required = {}, []
        for key, (_, kind, needed, words) in zip(self.keys, tool.arguments):
            properties[key] = {"type": json_type(kind)}
            if rng.random() < 0.85:
                properties[key]["description"] = rng.choice(words).strip()
            if kind.startswith("list:"):
                properties[key]["items"] = {"type": json_type(kind.split(":")[1])}
            if kind.startswith("enum:"):
                properties[key]["enum"] = [v.split("=")[0] for v in kind[5:].split(",")]
            if needed:
                required.append(key)
        self.schema = {"type": "object", "properties": properties, "required": required}
        if rng.random() < 0.3:
            self.schema["additionalProperties"] = False
        self.description = rng.choice(tool.descriptions)

    def declaration(self):
        return {"type": "function", "function": {"name": self.name, "description": self.description,
                                                 "parameters": self.schema}}

    def request(self, rng):
        """(what is said, the call's arguments, the result as text, the answer)."""
        tool, said, values = self.tool, {}, {}
        units = rng.choice(UNITS)
        for (keys, kind, *_), key in zip(tool.arguments, self.keys):
            while True:
                words, value = draw(kind, rng) if kind != "unit" else \
                    (units[keys[0].startswith("to")],) * 2
                if value not in values.values() or json_type(kind) != "string":
                    break
            said[keys[0]], values[keys[0]] = words, value
        answers, says = tool.answers, tool.says
        if tool.languages and rng.random() < 0.35:
            answers, says = rng.choice(list(tool.languages.values()))
        text = rng.choice(says)
        used = set(re.findall(r"\{(\w+)\}", text))
        text = re.sub(r"\{(\w+)\}", lambda m: said[m[1]], text)
        arguments = {key: values[keys[0]] for (keys, *_), key in zip(tool.arguments, self.keys)
                     if keys[0] in used}

        def fill(m):
            words, value = draw(m[1], rng)
            return json.dumps(value) if m[0][0] == "<" else words
        result = re.sub(r'"<([^>]+)>"', lambda m: json.dumps(draw(m[1], rng)[1]), tool.result)
        result = re.sub(r"<([^>]+)>", fill, result)
        known = {k: v if not isinstance(v, list) else
                 " and ".join(str(x[0]) if isinstance(x, list) else str(x) for x in v)
                 for k, v in {**{k: values[k] for k in used}, **json.loads(result)}.items()}
        told = [a for a in answers if set(re.findall(r"\{(\w+)\}", a)) <= set(known)]
        answer = re.sub(r"\{(\w+)\}", lambda m: str(known[m[1]]), rng.choice(told or ["Done."]))
        return text, arguments, result, answer


if __name__ == "__main__":
    rng = random.Random(1)
    for which in ("catalogue", "held_out"):
        for tool in read(which):
            for _ in range(40):
                Offer(tool, rng).request(rng)
        offer = Offer(rng.choice(read(which)), rng)
        print(json.dumps(offer.declaration()), offer.request(rng), sep="\n")
