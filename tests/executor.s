/* Native code of a hostile guest: makes the system calls of a script.
 *
 * It takes the place of a function of a compiled module (tests/src/hostile/code.rs). It knows
 * nothing of the process it is in, and calls nothing of it. The script stands right behind it
 * (tests/src/hostile/script.rs writes it):
 *
 *   0  u32 bytes of all of it    4  u32 number of steps    8  nothing
 *  16  the steps, 64 bytes each: u32 number of the system call, u32 what to do, u32 kinds of
 *      the six values (4 bits each, the first lowest), u32 nothing, six values of 8 bytes
 *      behind them: data
 *
 * All of it is copied to the stack, which from then on is "the memory": 64 KiB, beginning at
 * a page. There are also the results of the steps (0xf000). Each step is told on descriptor 1
 * when it is done: "BLS!", u32 which, i64 its result; before the first, which is -1. The end
 * is exit_group(42).
 *
 *   rbx the memory   r12 the step   r13 its place   r14 how many   r15 the stack at the entry
 */
    .intel_syntax noprefix
    .text
    .globl _start
_start:
    jmp begin

    .org 16                         /* a handler of signals, for any thread: tries to open the
                                     * file whose path stands at 0x10000000, and tells on
                                     * descriptor 2 "THR!", u32 which thread, i64 the result */
    mov edi, -100
    mov esi, 0x10000000
    xor edx, edx
    xor r10d, r10d
    mov eax, 257
    syscall
    push rax
    mov eax, 186
    syscall
    shl rax, 32
    or rax, 0x21524854
    push rax
    mov edi, 2
    mov rsi, rsp
    mov edx, 16
    mov eax, 1
    syscall
    add rsp, 16
    ret

    .org 112                        /* where a handler returns to: rt_sigreturn */
    mov eax, 15
    syscall

    .org 128
begin:
    cld
    mov r15, rsp
    lea rsi, [rip + script]
    mov ecx, dword ptr [rsi]
    sub rsp, 0x10000
    and rsp, -4096
    mov rbx, rsp
    mov rdi, rbx
    rep movsb
    mov r14d, dword ptr [rbx + 4]
    mov r13d, -1
    xor eax, eax
    call tell
    xor r13d, r13d
    lea r12, [rbx + 16]

next:
    cmp r13d, r14d
    jae finish
    mov r9d, dword ptr [r12 + 8]
    xor ecx, ecx
value:                              /* what a value is, by its kind */
    mov rax, qword ptr [r12 + 16 + rcx * 8]
    mov edx, r9d
    and edx, 15
    shr r9d, 4
    cmp edx, 1
    je in_memory
    cmp edx, 2
    je of_result
    cmp edx, 3
    je on_stack
    cmp edx, 4
    je word
    cmp edx, 5
    je long
    cmp edx, 6
    jne known                       /* 0: the value itself */
    lea rdx, [rip + _start]         /* 6: an address in this code */
    add rax, rdx
    jmp known
in_memory:                          /* 1: an address in the memory */
    add rax, rbx
    jmp known
of_result:                          /* 2: a result (low half: which), and so much more */
    mov edx, eax
    shr rax, 32
    add rax, qword ptr [rbx + 0xf000 + rdx * 8]
    jmp known
on_stack:                           /* 3: an address from the stack's end at the entry on */
    add rax, r15
    jmp known
word:                               /* 4: the u32 there in the memory */
    mov eax, dword ptr [rbx + rax]
    jmp known
long:                               /* 5: the u64 there */
    mov rax, qword ptr [rbx + rax]
known:
    mov qword ptr [rbx + 0xff00 + rcx * 8], rax
    inc ecx
    cmp ecx, 6
    jb value

    mov ecx, dword ptr [r12 + 4]
    cmp ecx, 2
    je old_call
    cmp ecx, 3
    je put
    cmp ecx, 4
    je copy
    cmp ecx, 5
    je enter
    cmp ecx, 6
    je need

    mov eax, dword ptr [r12]        /* 0: a system call; 1: one that forks */
    mov rdi, qword ptr [rbx + 0xff00]
    mov rsi, qword ptr [rbx + 0xff08]
    mov rdx, qword ptr [rbx + 0xff10]
    mov r10, qword ptr [rbx + 0xff18]
    mov r8, qword ptr [rbx + 0xff20]
    mov r9, qword ptr [rbx + 0xff28]
    syscall
    cmp dword ptr [r12 + 4], 1
    jne done
    test rax, rax
    jnz done
    mov edi, 7                      /* the child */
    mov eax, 231
    syscall

old_call:                           /* 2: a system call as 32-bit programs make it */
    push rbx
    push r12
    push r13
    push r14
    push r15
    push rbp
    mov eax, dword ptr [r12]
    mov ecx, dword ptr [rbx + 0xff08]
    mov edx, dword ptr [rbx + 0xff10]
    mov esi, dword ptr [rbx + 0xff18]
    mov edi, dword ptr [rbx + 0xff20]
    mov ebx, dword ptr [rbx + 0xff00]
    xor ebp, ebp
    int 0x80
    pop rbp
    pop r15
    pop r14
    pop r13
    pop r12
    pop rbx
    cdqe
    jmp done

put:                                /* 3: a u64, at an address */
    mov rdx, qword ptr [rbx + 0xff00]
    mov rax, qword ptr [rbx + 0xff08]
    mov qword ptr [rdx], rax
    xor eax, eax
    jmp done

copy:                               /* 4: bytes: to, from, how many */
    mov rdi, qword ptr [rbx + 0xff00]
    mov rsi, qword ptr [rbx + 0xff08]
    mov rcx, qword ptr [rbx + 0xff10]
    rep movsb
    xor eax, eax
    jmp done

enter:                              /* 5: the code at an address */
    call qword ptr [rbx + 0xff00]
    jmp done

need:                               /* 6: no further where this is an error */
    mov rax, qword ptr [rbx + 0xff00]
    cmp rax, -4096
    ja finish

done:
    mov qword ptr [rbx + 0xf000 + r13 * 8], rax
    call tell
    inc r13d
    add r12, 64
    jmp next

finish:
    mov edi, 42
    mov eax, 231
    syscall

tell:                               /* tells the result in rax: writev(1, one buffer, 1) */
    mov dword ptr [rbx + 0xfe00], 0x21534c42
    mov dword ptr [rbx + 0xfe04], r13d
    mov qword ptr [rbx + 0xfe08], rax
    lea rax, [rbx + 0xfe00]
    mov qword ptr [rbx + 0xfe40], rax
    mov qword ptr [rbx + 0xfe48], 16
    mov edi, 1
    lea rsi, [rbx + 0xfe40]
    mov edx, 1
    mov eax, 20
    syscall
    ret

    .balign 16
script:
