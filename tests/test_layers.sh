#!/usr/bin/env bash
# test_layers.sh - layers.sh sees what it is there to see.
set -uo pipefail
layers=$(realpath "$(dirname "${BASH_SOURCE[0]}")/layers.sh")
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
mkdir "$tree"/{base,engine,tools,guard,agent,proxy}
failed=0

check() { # 0 or 1, the file, its text
    printf '%s\n' "$3" >"$tree/$2"
    "$layers" "$tree" >"$tree/out" 2>&1
    if [ $? != "$1" ]; then
        echo "expected $1: $2: $3"
        cat "$tree/out"
        failed=1
    fi
    rm "$tree/$2"
}

check 0 base/a.c '#include <stdio.h>'
check 0 guard/a.c '#include "engine/engine.h"'
check 0 proxy/a.c '#include <uv.h>'
check 1 base/a.c '#include "engine/engine.h"'
check 1 engine/a.c '#include "tools/tool.h"'
check 1 guard/a.c '#include "agent/chat.h"'
check 1 agent/a.h '#include "guard/guard.h"'
check 1 agent/a.c '#include "chat.h"'
check 1 base/a.c '#include <base/err.h>'
check 1 base/a.c '#  include <yaml.h>'
check 0 base/yaml.c '#include <yaml.h>'
check 1 engine/a.c '#include <uv.h>'
check 1 guard/a.c '#include <hs/hs.h>'
check 1 proxy/a.c '#include <sqlite3.h>'
check 0 base/db.c '#include <sqlite3.h>'
check 1 engine/a.c '    exit(1);'
check 1 proxy/a.c '    sigaction(SIGINT, &a, NULL);'
check 0 base/a.c '    int exited = engine_exit_code(1);'
check 1 proxy/a.c '#include "guard/guard.h"
#include "agent/turn.h"'
check 0 proxy/exchange.c '#include "guard/guard.h"
#include "agent/turn.h"'
check 0 proxy/choice.c '#include "guard/guard.h"
#include "agent/turn.h"'
exit $failed
