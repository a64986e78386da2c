#!/usr/bin/env bash
# layers.sh - the floors hold: an include goes down or stays in its folder, and
# a library is named in its own files only. One line for each step out of line;
# exit 1 when there is any.
set -uo pipefail
cd "${1:-$(dirname "${BASH_SOURCE[0]}")/..}" || exit 3

bad=0
complain() {
    echo "$1"
    bad=1
}

# What a folder may include of ours, besides itself.
floor() {
    case $1 in
    base) echo "" ;;
    engine | tools) echo "base" ;;
    guard) echo "base engine" ;;
    agent) echo "base engine tools" ;;
    proxy) echo "base guard agent" ;;
    esac
}

# library <pattern of its header> <pattern of the files that may name it>
libraries='
cjson/          base/json\.h
yaml\.h         base/yaml\.c
sodium          base/hash\.c
cblas|openblas  engine/gemm\.[ch]
uv\.h           (proxy|tools)/[a-z0-9_]+\.[ch]
curl/           tools/fetch\.c
libxml/         tools/readable\.c
sqlite3\.h      (base/db|tools/[a-z0-9_]+)\.c
seccomp\.h      tools/sandbox_filter\.c
hs(/hs)?\.h     guard/rules(_scan|_capped|_run|_scratch|_whole)?\.c
unicode/        guard/text\.c
llhttp\.h       proxy/http\.c
zlib\.h         proxy/inflate\.c
openssl/        proxy/tls\.c
libpq           proxy/store_[a-z0-9_]+\.c
hiredis         proxy/store_[a-z0-9_]+\.c
'

folders="base engine tools guard agent proxy"
for folder in $folders; do
    allowed=" $folder $(floor "$folder") "
    while IFS=: read -r file line text; do
        [ -n "$file" ] || continue
        name=$(sed -E 's/^[^<"]*[<"]([^>"]+)[>"].*/\1/' <<<"$text")
        target=${name%%/*}
        if [[ $text == *\"* ]]; then
            [[ $name == */* ]] ||
                complain "$file:$line: an include names its folder: \"$name\""
            [[ $allowed == *" $target "* ]] ||
                complain "$file:$line: $folder/ may not include $name"
        else
            case " $folders cli " in
            *" $target "*)
                [[ $name != */* ]] ||
                    complain "$file:$line: our headers are in quotes: <$name>"
                ;;
            esac
            while read -r header files; do
                [ -n "$header" ] || continue
                [[ $name =~ ^($header) ]] || continue
                [[ $file =~ ^$files$ ]] ||
                    complain "$file:$line: <$name> belongs behind $files"
            done <<<"$libraries"
        fi
    done < <(grep -nE '^[[:space:]]*#[[:space:]]*include' \
        /dev/null "$folder"/*.c "$folder"/*.h 2>/dev/null)
done

# Guard and agent meet in the exchange and its choices, and nowhere else.
for file in proxy/*.c proxy/*.h; do
    [ -f "$file" ] || continue
    case $file in proxy/exchange*.[ch] | proxy/choice*.[ch]) continue ;; esac
    if grep -qE '#include "guard/(guard|stream)\.h"' "$file" &&
        grep -qE '#include "agent/turn\.h"' "$file"; then
        complain "$file: only proxy/exchange* and proxy/choice* know both guard and agent"
    fi
done

# Ending the process and catching signals is for main.c and cli/.
while IFS= read -r hit; do
    complain "$hit: exit() and signal handlers belong to main.c and cli/"
done < <(grep -nE '(^|[^a-z_])(_?exit|signal|sigaction) *\(' \
    /dev/null base/*.c engine/*.c tools/*.c guard/*.c agent/*.c proxy/*.c \
    2>/dev/null | grep -vE ':[0-9]+: *(\*|/\*|//)' |
    grep -vE '^tools/sandbox\.c:' | cut -d: -f1,2)

[ $bad = 0 ] && echo "layers: fine"
exit $bad
