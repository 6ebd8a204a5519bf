#!/bin/sh
# What the stack sees, for somebody who watches a demo: windows, shifts, posts that will go far.
#
#   demo ROUNDS SECONDS     so often, with so long between two of them
set -u
rounds=$1
seconds=$2
show() {
    echo
    echo "\$ groundswell $*"
    groundswell "$@"
}
while [ "$rounds" -gt 0 ]; do
    date -u "+== %H:%M:%S UTC"
    show windows show all --last 6 || echo "No window has closed yet: the first one does after some two minutes."
    show windows show airline-delays --last 6 || echo "No window of this query yet."
    show forecasts top airline-delays --last 5 || echo "No post of this query is ranked yet."
    show alerts list --last 5 || echo "No shift yet: a query is judged once it is known for a day."
    rounds=$((rounds - 1))
    [ "$rounds" -eq 0 ] || sleep "$seconds"
done
echo "The demo's log ends here; the stack goes on."
