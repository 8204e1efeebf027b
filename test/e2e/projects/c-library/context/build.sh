set -eu
mkdir out
gcc -c -fPIC $OPTIMISE -Iinclude answer.c -o answer.o
gcc -shared -Wl,-soname,libanswer.so.1 answer.o -o out/libanswer.so.1.0
ln -s libanswer.so.1.0 out/libanswer.so.1
ln -s libanswer.so.1 out/libanswer.so
ar rcD out/libanswer.a answer.o
gcc $OPTIMISE -Iinclude hello.c out/libanswer.a -o out/hello
gcc $OPTIMISE -static -Iinclude hello.c out/libanswer.a -o out/hello-static
ln out/hello out/hello-again
