#pragma once
int keep_main(int argc, char **argv);
