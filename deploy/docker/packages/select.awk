# Cut a hash-locked requirement file down to what an image needs:
#
#   awk -v mode=with    -f select.awk serving.with requirements/server.txt
#   awk -v mode=without -f select.awk app.without  requirements/main.txt
#
# The first file names packages, one a line; the second is the lock. What is printed is lines of
# the lock, so versions and hashes cannot differ from those of the local stack. A name that the
# lock does not have ends the build (status 1): it is a mistake in the list.

{ sub(/[ \t]*#.*$/, "") }

FNR == NR {
    if ($1 != "") named[$1] = 1
    next
}

/^[A-Za-z0-9]/ {
    split($0, parts, /[ =;[]/)
    if (parts[1] in named) found[parts[1]] = 1
    printing = (mode == "with") == (parts[1] in named)
}

printing { print }

END {
    for (name in named) {
        if (!(name in found)) {
            print "select.awk: the lock has no package " name > "/dev/stderr"
            failed = 1
        }
    }
    exit failed
}
