/* The peer of fixtures/wat/hello.wat: built static, it is about the least that a
   process can do. */
#include <stdio.h>

int main(void) {
    puts("hello");
    return 0;
}
