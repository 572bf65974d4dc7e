/*
 * What libseccomp makes of a profile's rules, as runc hands them to it: rules that do what is done anyway are left out, calls that the
 * library does not know too, and where several conditions concern one argument, each becomes a rule of its own.
 *
 * Reads lines, and writes the filter program, in the kernel's form:
 *     default ACTION
 *     machine NAME
 *     rule ACTION CALL [INDEX COMPARISON VALUE SECOND]...
 * Actions are numbers as filters return them, comparisons the numbers of enum scmp_compare. Ends with 3 where the library refuses a rule.
 */
#include <errno.h>
#include <inttypes.h>
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int add(scmp_filter_ctx filter, uint32_t action, int call, unsigned count, const struct scmp_arg_cmp *conditions)
{
	int error = seccomp_rule_add_array(filter, action, call, count, conditions);
	if (error)
		fprintf(stderr, "call %d: %s\n", call, strerror(-error));
	return error;
}

static int rule(scmp_filter_ctx filter, uint32_t otherwise, char *words)
{
	struct scmp_arg_cmp conditions[16];
	unsigned count = 0, seen = 0, twice = 0;
	uint32_t action = strtoul(strtok(words, " \n"), NULL, 0);
	int call = seccomp_syscall_resolve_name(strtok(NULL, " \n"));
	char *word;

	while ((word = strtok(NULL, " \n")) && count < 16) {
		struct scmp_arg_cmp *one = &conditions[count++];
		one->arg = strtoul(word, NULL, 0);
		one->op = strtoul(strtok(NULL, " \n"), NULL, 0);
		one->datum_a = strtoull(strtok(NULL, " \n"), NULL, 0);
		one->datum_b = strtoull(strtok(NULL, " \n"), NULL, 0);
		twice |= seen & (1u << one->arg);
		seen |= 1u << one->arg;
	}
	if (call == __NR_SCMP_ERROR || action == otherwise)
		return 0;
	if (!twice)
		return add(filter, action, call, count, conditions);
	for (unsigned i = 0; i < count; i++)
		if (add(filter, action, call, 1, &conditions[i]))
			return 1;
	return 0;
}

int main(void)
{
	static char line[1 << 16];
	scmp_filter_ctx filter = NULL;
	uint32_t otherwise = 0;

	while (fgets(line, sizeof line, stdin)) {
		if (!strncmp(line, "default ", 8)) {
			otherwise = strtoul(line + 8, NULL, 0);
			filter = seccomp_init(otherwise);
			if (!filter)
				return 2;
		} else if (!strncmp(line, "machine ", 8)) {
			line[strcspn(line, "\n")] = 0;
			uint32_t machine = seccomp_arch_resolve_name(line + 8);
			int error = machine ? seccomp_arch_add(filter, machine) : -EINVAL;
			if (error && error != -EEXIST)
				return 2;
		} else if (!strncmp(line, "rule ", 5)) {
			if (rule(filter, otherwise, line + 5))
				return 3;
		} else {
			return 2;
		}
	}
	return seccomp_export_bpf(filter, 1) ? 2 : 0;
}
