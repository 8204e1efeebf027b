#include <stdio.h>
#include "answer.h"
int main(void) { return printf("%d from C\n", answer()) < 0; }
