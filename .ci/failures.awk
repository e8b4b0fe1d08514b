# Reads what go test has printed, with -v or without, and prints what has failed in few lines: a record
# of a run may keep only the end of its output. See part_test in run.
#
# Of each failed test there is its name, and the first of the lines that it has said by itself; panics, data races, packages
# that do not build and the end of a package that failed without a failed test are there too.

BEGIN {
	limit = 80     # lines in all
	per_test = 15  # of one test; of the second failure of the same there are fewer
	per_report = 14 # of a panic, a race or a build
	before_fail = 8 # of a package without a failed test
	width = 300
}

function say(line) {
	said++
	explained = 1
	if (said > limit)
		return
	gsub(/\t/, "    ", line)
	if (length(line) > width)
		line = substr(line, 1, width - 3) "..."
	print line
}

# keep returns whether a line of a test is one of those that are shown.
function keep(line) {
	if (line ~ /^ *[A-Za-z0-9_.-]+\.go:[0-9]+: /) {
		follow = 2
		return 1
	}
	return follow-- > 0 && line !~ /^[ \t]*$/
}

function report(line, n) {
	say(line)
	rest = n
	test = ""
}

{ recent[NR % before_fail] = $0 }

/^=== (RUN|NAME|CONT|PAUSE)/ { running = $3; test = ""; follow = 0; rest = 0; next }

/^ *--- FAIL: / {
	sub(/^ */, "")
	say($0)
	test = $3
	left = seen[test]++ ? 3 : per_test
	if (seen[test] == 1)
		names = names " " test
	follow = rest = 0
	for (i = 1; i <= held[test] && left > 0; i++) {
		say(words[test, i])
		left--
	}
	held[test] = 0
	next
}

/^ *--- (PASS|SKIP): / { held[$3] = 0; test = ""; rest = 0; next }

/^(panic|fatal error): / || /^SIG[A-Z]+: / { report($0, per_report); next }
/^ *WARNING: DATA RACE/ { report($0, per_report); next }
/^ *==================$/ { rest = 0; next }
/^# / { report($0, per_report); next }
/^-test.shuffle / { shuffle = $2; next }

/^FAIL\t/ {
	if (!explained)
		for (i = NR - before_fail + 1; i < NR; i++)
			if (i > 0 && recent[i % before_fail] !~ /^(FAIL|ok|exit status|[ \t]*$)/)
				say(recent[i % before_fail])
	say($0 (shuffle == "" ? "" : "    -test.shuffle " shuffle))
	packages = packages " " $2
}
/^(FAIL|ok|\?)[ \t]/ {
	explained = rest = 0
	test = running = shuffle = ""
	split("", recent)
	next
}
/^(FAIL|PASS|exit status [0-9]+)$/ { rest = 0; test = ""; next }

rest > 0 { # of a report
	if ($0 !~ /^[ \t]*$/) {
		say($0)
		rest--
	}
	next
}

test != "" { # without -v a test's words follow its name
	if (left > 0 && keep($0)) {
		say($0)
		left--
	}
	next
}

running != "" { # and with it they come before
	if (held[running] < per_test && keep($0))
		words[running, ++held[running]] = $0
}

END {
	if (said > limit) {
		printf "... and %d lines more\n", said - limit
		print "failed tests:" names
	}
	print "failed packages:" packages
}
