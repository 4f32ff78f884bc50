//! The trampolines as assembly for x86-64 (System V ABI). Part of the build script, and of its test.

/// Returns the trampoline of each function, in sections of its own, so that the linker keeps only those that are
/// called. `resolve` is the function of `first_call.c`.
///
/// A trampoline jumps to the address in its entry. At first that is the address of the instructions behind it, which
/// pass the entry to `first_call`: it saves the registers that hold arguments, has `resolve` write the function's
/// address into the entry, and jumps there. (System V ABI, x86-64: rdi, rsi, rdx, rcx, r8, r9, xmm0 to 7, al; r11 is free.)
pub fn assembly(resolve: &str, functions: &[&str]) -> String {
    let integers = ["rdi", "rsi", "rdx", "rcx", "r8", "r9", "rax"];
    let moves = |from_stack: bool| -> String {
        let mov = |instruction: &str, register: &str, at: usize| {
            if from_stack {
                format!("    {instruction} {at}(%rsp), %{register}\n")
            } else {
                format!("    {instruction} %{register}, {at}(%rsp)\n")
            }
        };
        let vectors = (0..8).map(|i| mov("movaps", &format!("xmm{i}"), 16 * i));
        let integers = integers.iter().enumerate().map(|(i, r)| mov("movq", r, 128 + 8 * i));
        vectors.chain(integers).collect()
    };
    // 128 bytes of vectors, 56 of integers, the entry at 184; with the return address the stack is at a multiple of 16.
    let mut text = format!(
        "    .section .text.first_call,\"ax\",@progbits\nfirst_call:\n    subq $200, %rsp\n    movq %r11, 184(%rsp)\n\
         {}    movq 184(%rsp), %rdi\n    call {resolve}\n    movq %rax, %r11\n{}    addq $200, %rsp\n    jmp *%r11\n",
        moves(false),
        moves(true),
    );
    for name in functions {
        text.push_str(&format!(
            "\n    .section .text.{name},\"ax\",@progbits\n    .globl {name}\n    .type {name}, @function\n{name}:\n    \
             jmp *.Lentry.{name}(%rip)\n.Lfirst.{name}:\n    leaq .Lentry.{name}(%rip), %r11\n    jmp first_call\n    \
             .size {name}, .-{name}\n    .section .data.{name},\"aw\",@progbits\n    .balign 8\n.Lentry.{name}:\n    \
             .quad .Lfirst.{name}, .Lname.{name}\n    .section .rodata.{name},\"a\",@progbits\n.Lname.{name}:\n    \
             .asciz \"{name}\"\n"
        ));
    }
    text + "\n    .section .note.GNU-stack,\"\",@progbits\n"
}
