"""Corral's own tools as it offers them (tools/builtin.json, which a live test
compares with the program), requests that need one of them (tools/builtin.txt),
and results in the form that each tool has: computed, run or queried, not made up."""
import contextlib
import io
import json
import math
import os
import random
import re
import sqlite3
import tempfile

from . import tool_catalogue
from .tool_catalogue import HERE, WORDS, draw

# The tables that sql_query tells of, and rows that a request can find.
DATABASES = {
    "shop": ("CREATE TABLE customers (id INTEGER, name TEXT, city TEXT)",
             "CREATE TABLE orders (id INTEGER, customer INTEGER, total REAL, status TEXT)"),
    "sales": ("CREATE TABLE sale (item TEXT, n INTEGER, day TEXT)",),
    "staff": ("CREATE TABLE employees (name TEXT, department TEXT, salary INTEGER, hired TEXT)",),
    "books": ("CREATE TABLE books (id INTEGER, title TEXT, author TEXT, year INTEGER)",
              "CREATE TABLE loans (book INTEGER, member TEXT, returned TEXT)"),
    "stock": ("CREATE TABLE products (name TEXT, price REAL, stock INTEGER)",),
}
COLUMNS = {"id": "int:1:900", "name": "person", "city": "city", "customer": "int:1:9", "total": "int:20:900",
           "status": "pick:open,paid,sent", "item": "product", "n": "int:1:40", "department": "pick:sales,support,IT",
           "salary": "int:24000:90000", "title": "film", "author": "person_known", "year": "int:1890:2020",
           "book": "int:1:9", "member": "person", "price": "int:4:400", "stock": "int:0:30"}
# What notes hold: words to look for, file, line.
NOTES = """the wifi password|office.md|The guest wifi password is on the board in the hall.
parental leave|handbook.md|Parental leave is twelve weeks with full pay.
travel expenses|handbook.md|Travel expenses are paid back within ten days.
the backup|admin/servers.md|The backup runs every night at 02:30.
the alarm code|house.txt|The alarm code was changed in March.
the roof repair|minutes/2026-02.md|The roof repair costs 4,200 euros.
holiday rules|hr/rules.md|Holidays must be asked for four weeks before.
the printer|office.md|The printer on the second floor takes A3 paper.
Project Heron|projects/heron.md|Project Heron ships at the end of June.
the otter|deep/c.md|the otter swims at dusk
refunds|support/faq.md|Refunds are possible within 30 days.
the kick-off meeting|minutes/2026-01.md|The kick-off meeting is on 14 January in room 4.
invoice 2291|billing/log.txt|Invoice 2291 was paid on 3 March.
grandma's cake|recipes/cake.txt|Grandma's cake needs three eggs and no butter.
the deposit|contracts/flat.md|The deposit is two months of rent.
vaccinations|health.txt|Next vaccinations are due in 2027.
the release checklist|docs/release.md|The release checklist has nine points.
database migration|docs/plan.md|The database migration begins on Monday.
working hours|hr/rules.md|Working hours are from nine to five.
the garden plan|ideas/garden.md|The garden plan has three beds of beans.
error 504|support/faq.md|Error 504 means that the server was too slow.
the budget for 2026|budget.md|The budget for 2026 is 81,000 euros.
the company car|handbook.md|The company car can be booked for two days.
passport number|travel.txt|The passport number is in the blue folder.
Lisbon|travel.txt|In Lisbon we liked the old tram best.
quarterly goals|goals.md|The quarterly goals are fewer calls and faster answers."""
# What the web holds: words to look for, title, address, text.
WEB = """electric cars|Electric cars in 2026|https://cars.example/electric|Half of all new cars are electric now.
solar panels|Solar panels explained|https://energy.example/solar|A roof of solar panels pays off in nine years.
grey herons|Grey heron|https://birds.example/grey|A wader of ponds.
the mayor of Vienna|City of Vienna|https://vienna.example/mayor|The mayor of Vienna is elected by the council.
train strikes|Train strikes in May|https://news.example/trains|Trains stop on 4 and 5 May.
the best pizza in Naples|Pizza in Naples|https://food.example/naples|Da Michele has been baking since 1870.
interest rates|Interest rates fall|https://bank.example/rates|The central bank lowered its rate to 2 percent.
the world cup|World cup schedule|https://sport.example/cup|The final is on 19 July.
SmolLM2|SmolLM2 models|https://models.example/smollm2|A family of small language models.
the weather in Oslo|Oslo forecast|https://weather.example/oslo|Snow until Thursday, then sun.
cheap flights to Lisbon|Flights to Lisbon|https://fly.example/lisbon|From 49 euros in autumn.
the new phone tax|Phone tax explained|https://news.example/tax|The tax begins in January.
vegan recipes|Vegan kitchen|https://cook.example/vegan|Forty recipes without meat and milk.
the marathon results|Marathon results|https://run.example/results|Won in 2:04:11.
home insulation grants|Grants for insulation|https://home.example/grants|The state pays a third.
bitcoin price|Bitcoin today|https://coins.example/btc|One bitcoin costs 64,200 dollars.
the Louvre|Louvre, official site|https://museum.example/louvre|Closed on Tuesdays.
learning Rust|Rust for beginners|https://code.example/rust|A course of ten lessons.
the storm in Texas|Storm over Texas|https://news.example/texas|The storm moved east on Friday.
gluten free bread|Bread without gluten|https://cook.example/bread|Rice flour and patience.
ACME Ltd|ACME Ltd|https://acme.example/|Anvils and rockets since 1949."""
PLAIN_WORDS = ("page", "docs", "blog/2026", "news/today", "about", "articles/17", "help/start", "wiki/Heron",
               "products?id=4", "index.html", "faq", "report.html", "paper/2201", "team", "opening-hours")
HOSTS = ("example.com", "www.example.org", "blog.example.net", "news.example.com", "docs.example.io",
         "shop.example.de", "en.example.wiki", "city.example.it", "lib.example.edu", "www.acme.example")
PAGES = ("The shop is open from nine to six.", "Version 3 brings a faster search.", "We moved to a new building.",
         "The course begins in October and takes six weeks.", "Call us at 555 0142.",
         "Herons stand, and wait.", "Returns are free for 30 days.", "Written by Nina Moore in 2025.")
ANSWERS = {
    "calculator": ["The result is {told}.", "That makes {told}.", "It is {told}.", "{asked} = {told}"],
    "time": ["It is {told}.", "Right now it is {told}.", "{told}."],
    "code_interpreter": ["It prints {told}.", "The output is {told}.", "The result is {told}."],
    "file_search": ["{told}", "Your files say: {told}", "I found this: {told}"],
    "sql_query": ["The database says: {told}.", "It is {told}.", "The result is {told}."],
    "web_fetch": ["{told}", "The page says: {told}", "It says: {told}"],
    "web_search": ["I found this: {told}", "{told}", "A search brings up: {told}"],
}
PICTURE = "[picture figure-1.png: {size} bytes, sha256 {digest}, GET /v1/artefacts/{id}]"
ABOUT = {"file_search": ["Search the company's handbook.", "Full text search in my notes. Answers cite the file and the line.",
                         "Search the project's documents for words."],
         "sql_query": ["The orders of our shop.", "Query our database, read only.", "Our business data: one SELECT."]}


def calculated(expression):
    value = eval(expression.replace("^", "**"), {"sqrt": math.sqrt, "pi": math.pi})  # our own text
    return f"{value:.0f}" if value == int(value) else f"{value:.15g}"


def clock(rng, zone):
    day = rng.choice(WORDS["weekday"].split("|"))
    mark = "UTC" if not zone else rng.choice(("CET (UTC+01:00)", "JST (UTC+09:00)", "EST (UTC-05:00)"))
    hour, minute = rng.randint(0, 23), rng.randint(0, 59)
    date = f"20{rng.randint(24, 27)}-{rng.randint(1, 12):02}-{rng.randint(1, 28):02}"
    return f"{date} {hour:02}:{minute:02}:{rng.randint(0, 59):02} {mark}, {day}", \
        f"{hour:02}:{minute:02} on {day}, {date}"


def run_code(code, rng):
    """(the tool's result, what an answer tells of it)"""
    if "matplotlib" in code:
        return PICTURE.format(size=rng.randint(6000, 30000), digest=f"{rng.getrandbits(256):064x}",
                              id=f"{rng.getrandbits(96):024x}"), None
    out = io.StringIO()
    random.seed(rng.random())  # what the code draws is repeatable too
    with contextlib.redirect_stdout(out), tempfile.TemporaryDirectory() as folder:
        exec(code.replace("out.txt", folder + "/out.txt"), {})
    text = out.getvalue().strip()
    return text, text.replace("\n", ", ")


def query(database, sql, rng):
    db = sqlite3.connect(":memory:")
    for table in DATABASES[database]:
        db.execute(table)
        name, columns = re.match(r"CREATE TABLE (\w+) \((.*)\)", table).groups()
        for _ in range(rng.randint(3, 6)):
            row = [cell(c.split()[0], rng) for c in columns.split(", ")]
            db.execute(f"INSERT INTO {name} VALUES ({', '.join('?' * len(row))})", row)
    found = db.execute(sql)
    head = " | ".join(c[0] for c in found.description)
    rows = [" | ".join("NULL" if v is None else str(v) for v in row) for row in found.fetchmany(4)]
    db.close()
    if not rows:
        return head + "\n(no rows)", None
    return "\n".join([head, *rows]), ", ".join(r.replace(" | ", " ") for r in rows)


def cell(column, rng):
    if column in ("day", "hired", "returned"):
        if column == "returned" and rng.random() < 0.5:
            return None
        return f"202{rng.randint(1, 6)}-03-{rng.randint(10, 28)}"
    return draw(COLUMNS[column], rng)[1]


class Requests:
    """tools/builtin.txt, read."""

    def __init__(self):
        self.kinds, self.says = {}, {}
        tool = language = None
        with open(f"{HERE}/tools/builtin.txt", encoding="utf-8") as f:
            for line in f:
                mark, rest = line[:1], line[2:].rstrip("\n")
                if mark == "V":
                    name, kind = rest.split(" : ")
                    self.kinds[name] = kind
                elif mark == "T":
                    tool, language = rest, "en"
                elif mark == "L":
                    language = rest
                elif mark == "S":
                    said, argument = rest.rsplit(" =>", 1)
                    self.says.setdefault(tool, {}).setdefault(language, []).append(
                        (said, argument.strip().replace("\\n", "\n")))
        self.notes = [n.split("|") for n in NOTES.split("\n")]
        self.web = [w.split("|") for w in WEB.split("\n")]

    def drawn(self, tool, rng, database):
        """(what is said, the argument, what was found for it)"""
        lines = self.says[tool]
        language = "en" if rng.random() < 0.8 else rng.choice([k for k in lines if k != "en"])
        if tool != "sql_query":
            said, argument = rng.choice(lines[language])
        else:
            fit = [(s.split(": ", 1)[1], a) for s, a in lines[language] if s.startswith(database + ":")]
            fit = fit or [(s.split(": ", 1)[1], a) for s, a in lines["en"] if s.startswith(database + ":")]
            said, argument = rng.choice(fit)
        found = None
        if tool == "file_search":
            found = rng.choice(self.notes)
        elif tool == "web_search":
            found = rng.choice(self.web)
        elif tool == "web_fetch":
            found = [rng.choice(("https://", "https://", "http://")) + rng.choice(HOSTS) + "/" +
                     rng.choice(PLAIN_WORDS)]
        values = {}

        def value(name):
            if name not in values:
                kind = self.kinds.get(name)
                values[name] = (found[0],) * 2 if name == "found" else draw(kind, rng)
            return values[name]
        slot = re.compile(r"\{([a-z]\w*)\}")
        spoken = slot.sub(lambda m: str(value(m[1])[0 if self.kinds.get(m[1], "")[:5] != "list:" else 1]), said)
        argument = slot.sub(lambda m: str(value(m[1])[1]), argument)
        return spoken, argument, found


class Own:
    """One of Corral's own tools, offered by a request."""

    def __init__(self, declared, requests, rng):
        self.name, self.parameters = declared["name"], declared["parameters"]
        self.description, self.requests = declared["description"], requests
        self.key = next(iter(self.parameters["properties"]))
        self.database = rng.choice(list(DATABASES))
        if self.name in ABOUT and rng.random() < 0.3:
            self.description = rng.choice(ABOUT[self.name]) + \
                (" Tables:\n" if self.name == "sql_query" else "")
        if self.name == "sql_query":
            self.description += "".join(t + ";\n" for t in DATABASES[self.database])

    def declaration(self):
        return {"type": "function", "function": {"name": self.name, "description": self.description,
                                                 "parameters": self.parameters}}

    def request(self, rng):
        """As tool_catalogue.Offer has it."""
        said, argument, found = self.requests.drawn(self.name, rng, self.database)
        result, told = self.result(argument, found, rng)
        answer = rng.choice(ANSWERS[self.name])
        if told is None:
            answer = "Here is the picture: figure-1.png." if "picture" in result else "There is nothing of the kind."
            told = ""
        return said, {self.key: argument} if argument else {}, result, \
            answer.replace("{told}", told.rstrip(".") if answer.endswith("}.") else told).replace("{asked}", argument)

    def result(self, argument, found, rng):
        if self.name == "calculator":
            return (calculated(argument),) * 2
        if self.name == "time":
            return clock(rng, argument)
        if self.name == "code_interpreter":
            return run_code(argument, rng)
        if self.name == "sql_query":
            return query(self.database, argument, rng)
        if self.name == "web_fetch":
            text = rng.choice(PAGES)
            return f"{argument}\n\n# {rng.choice(('Welcome', 'News', 'About us', 'Help'))}\n\n{text}", text
        if self.name == "file_search":
            line = rng.randint(3, 90)
            if found[0] != argument:
                found = [argument, "notes.md", f"See the folder of 2025 on {argument}."]
            return f"{found[1]}:{line}:\n{line - 1}\n{found[2]}\n{line + 1}\n", \
                f"{found[2]} ({found[1]}, line {line})"
        if found[0] != argument:
            found = [argument, argument.capitalize(), "https://pages.example/" + re.sub(r"\W+", "-", argument.lower())[:24],
                     rng.choice(("A short guide.", "All that you need to know.", "News and background."))]
        return f"1. {found[1]}\n   {found[2]}\n   {found[3]}\n", f"{found[1]}, {found[2]}: {found[3]}"


def read():
    with open(f"{HERE}/tools/builtin.json", encoding="utf-8") as f:
        return json.load(f)


def plain():
    with open(f"{os.path.join(HERE, 'tools')}/builtin_plain.jsonl", encoding="utf-8") as f:
        return [json.loads(line) for line in f]


# Tools of the catalogue that do what one of these does, too: beside them a
# request would have two right answers.
ALIKE = re.compile(r"calc|percent|time|search|web|page|url|file|document|python|code|sql|wiki|lookup|find|convert|note|"
                   r"math|news|stat|average|root|date|word|text|random|dictionary|translate|weather|movie|museum|"
                   r"stock|train|recipe|flight|price|holiday|count|age|product|sum|table|area|length|prime|sort|dice|food|score|visa|"
                   r"suggest|recommend|schedule|runs?_tests")


def others(tools):
    return [t for t in tools if not any(ALIKE.search(n) for n in t.names)]


if __name__ == "__main__":
    rng, requests = random.Random(1), Requests()
    for declared in read():
        for _ in range(60):
            print(declared["name"], *Own(declared, requests, rng).request(rng), sep="\n    ")
    print(*[t.names[0] for t in others(tool_catalogue.read("catalogue"))])
