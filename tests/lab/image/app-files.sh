#!/bin/sh
# Serve the files below /srv, and end at once when asked to.
httpd -f -p 8080 -h /srv &
trap 'kill $!' TERM
wait
