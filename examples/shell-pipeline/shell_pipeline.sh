#!/bin/sh
# Topics and services in a pipeline: a command provides a service, lines of text go through it into a
# list, and whoever watches the list sees each of them arrive.
set -eu

chatroom provide text/upper 'tr a-z A-Z' &
provider=$!
trap 'kill "$provider"' EXIT
until chatroom call text/upper '""' > /dev/null 2>&1; do sleep 0.1; done

chatroom set log --type list '[]'

feed() {
  printf 'one\ntwo\nthree\n' | while read -r line; do
    upper=$(chatroom call text/upper "\"$line\"")
    chatroom set log --change "{\"type\": \"insert\", \"position\": 0, \"item\": $upper}"
  done
}

# The first line is the list as it is; from then on each change is seen.
chatroom watch log --json --count 4 | {
  read -r first
  echo "$first"
  feed &
  cat
}
chatroom get log
