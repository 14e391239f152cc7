/*
 * A plugin for qemu-aarch64 that counts the instructions a program executes, by kind.
 *
 * Kinds are told at translation time by the masks of the "Arm Architecture Reference Manual for A-profile", chapter C4
 * (A64 instruction set encoding); what is executed later is one addition a kind and a block, made by qemu itself. The
 * program marks a moment by the system call MARK, which no kernel knows: the counts so far are then written as a line.
 *
 * qemu-plugin.h is not part of Debian's package, so the few functions used are declared here as version 1 of the
 * interface has them, which is that of qemu 4.2 to 8.2. Counters are not atomic: count single-threaded programs.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define PUBLIC __attribute__((visibility("default")))
#define MARK 4242

typedef uint64_t plugin_id;
struct qemu_info_t {
    const char *target_name;
    struct {
        int min;
        int cur;
    } version;
    bool system_emulation;
};
struct qemu_plugin_tb;
struct qemu_plugin_insn;
enum operation { ADD_U64 };

typedef void (*translated_callback)(plugin_id, struct qemu_plugin_tb *);
typedef void (*syscall_callback)(plugin_id, unsigned int, int64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t,
                                 uint64_t, uint64_t, uint64_t);
void qemu_plugin_register_vcpu_tb_trans_cb(plugin_id id, translated_callback callback);
void qemu_plugin_register_vcpu_tb_exec_inline(struct qemu_plugin_tb *tb, enum operation op, void *ptr, uint64_t imm);
void qemu_plugin_register_vcpu_syscall_cb(plugin_id id, syscall_callback callback);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *tb);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *tb, size_t index);
const void *qemu_plugin_insn_data(const struct qemu_plugin_insn *insn);

enum kind { MULTIPLY_ACCUMULATE, DOT_PRODUCT, LOAD_STORE, OTHER, KINDS };

PUBLIC int qemu_plugin_version = 1;

static uint64_t counts[KINDS];
static FILE *output;

static bool matches(uint32_t word, uint32_t mask, uint32_t value)
{
    return (word & mask) == value;
}

/* "Advanced SIMD three-register extension": dot products, matrix products, rounding and complex multiply-add. */
static enum kind of_extension(uint32_t word)
{
    uint32_t opcode = word >> 11 & 0xf, u = word >> 29 & 1, size = word >> 22 & 3;
    if (opcode >= 2 && opcode <= 5)
        return DOT_PRODUCT; /* SDOT, UDOT, USDOT, SMMLA, UMMLA, USMMLA */
    if (u && (opcode == 13 || opcode == 15))
        return opcode == 15 && size == 3 ? MULTIPLY_ACCUMULATE : DOT_PRODUCT; /* BFMLAL; BFMMLA, BFDOT */
    return u && (opcode <= 1 || opcode >> 2 == 2) ? MULTIPLY_ACCUMULATE : OTHER; /* SQRDMLAH, SQRDMLSH, FCMLA */
}

/* "Advanced SIMD vector x indexed element": one factor is an element of a vector. */
static enum kind of_indexed(uint32_t word)
{
    uint32_t opcode = word >> 12 & 0xf, u = word >> 29 & 1, size = word >> 22 & 3;
    if (opcode == 14 || (opcode == 15 && !u && size != 3))
        return DOT_PRODUCT; /* SDOT, UDOT, SUDOT, USDOT, BFDOT */
    if (opcode <= 7 || opcode == 15)
        return MULTIPLY_ACCUMULATE; /* MLA, MLS, FMLA, FMLS, SMLAL, SQDMLAL, FCMLA, FMLAL; BFMLAL, SQRDMLSH */
    return u && (opcode == 8 || opcode == 12 || opcode == 13) ? MULTIPLY_ACCUMULATE : OTHER; /* FMLAL2, SQRDMLAH */
}

/* "Advanced SIMD three same" and "three different". */
static bool accumulates(uint32_t word)
{
    uint32_t u = word >> 29 & 1;
    if (matches(word, 0x9f200400, 0x0e200400)) {
        uint32_t opcode = word >> 11 & 0x1f;
        return opcode == 0x12 || opcode == 0x19 || (opcode == 0x1d && !u); /* MLA, MLS; FMLA, FMLS, FMLAL */
    }
    if (matches(word, 0x9f60c400, 0x0e400400))
        return !u && (word >> 11 & 7) == 1; /* FMLA, FMLS of half precision */
    if (matches(word, 0x9f200c00, 0x0e200000) || matches(word, 0xdf200c00, 0x5e200000))
        return (word >> 14 & 3) == 2; /* SMLAL, UMLAL, SMLSL, UMLSL, SQDMLAL, SQDMLSL */
    return matches(word, 0xff000000, 0x1f000000); /* FMADD, FMSUB, FNMADD, FNMSUB */
}

/* Returns what an instruction does. MADD on general registers is address arithmetic here, hence OTHER. */
PUBLIC int classify(uint32_t word)
{
    if (matches(word, 0x0a000000, 0x08000000))
        return LOAD_STORE;
    if (matches(word, 0x9f208400, 0x0e008400) || matches(word, 0xdf208400, 0x5e008400))
        return of_extension(word);
    if (matches(word, 0x9f000400, 0x0f000000) || matches(word, 0xdf000400, 0x5f000000))
        return of_indexed(word);
    return accumulates(word) ? MULTIPLY_ACCUMULATE : OTHER;
}

static void on_translation(plugin_id id, struct qemu_plugin_tb *tb)
{
    uint64_t found[KINDS] = {0};
    (void)id;
    for (size_t index = 0; index < qemu_plugin_tb_n_insns(tb); index++) {
        uint32_t word;
        memcpy(&word, qemu_plugin_insn_data(qemu_plugin_tb_get_insn(tb, index)), sizeof word);
        found[classify(word)]++;
    }
    for (int kind = 0; kind < KINDS; kind++)
        if (found[kind])
            qemu_plugin_register_vcpu_tb_exec_inline(tb, ADD_U64, &counts[kind], found[kind]);
}

static void on_syscall(plugin_id id, unsigned int vcpu, int64_t number, uint64_t a1, uint64_t a2, uint64_t a3,
                       uint64_t a4, uint64_t a5, uint64_t a6, uint64_t a7, uint64_t a8)
{
    (void)id, (void)vcpu, (void)a1, (void)a2, (void)a3, (void)a4, (void)a5, (void)a6, (void)a7, (void)a8;
    if (number != MARK)
        return;
    for (int kind = 0; kind < KINDS; kind++)
        fprintf(output, "%llu%c", (unsigned long long)counts[kind], kind + 1 < KINDS ? ' ' : '\n');
    fflush(output);
}

/* The one argument is `output=PATH`, the file that marks are written to. */
PUBLIC int qemu_plugin_install(plugin_id id, const struct qemu_info_t *info, int argc, char **argv)
{
    if (strcmp(info->target_name, "aarch64") != 0 || argc != 1 || strncmp(argv[0], "output=", 7) != 0)
        return 1;
    output = fopen(argv[0] + 7, "w");
    if (!output)
        return 1;
    qemu_plugin_register_vcpu_tb_trans_cb(id, on_translation);
    qemu_plugin_register_vcpu_syscall_cb(id, on_syscall);
    return 0;
}
