/* keel serve: a daemon's coprocess and zygote (docs/protocols.md, "keel serve"). */
#pragma once
int serve_main(int argc, char **argv);
