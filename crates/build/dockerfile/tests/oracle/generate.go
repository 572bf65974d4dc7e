package main

import (
	"slices"
	"strings"
)

var blanks = []string{" ", "  ", "\t", " ", " ", " "}

var fragments = map[string][]string{
	"FROM":        {"busybox", "$A", "scratch", "a:b AS one", "a as Two", "a AS 1x", "a AS b c", "--platform=linux/amd64 a", "--platform=$P a AS x", "--plat=x a", "a@sha256:00 AS a-b_c.d", ""},
	"ENV":         {"a=b", "a=b c=d", "a b c", "a", "a=\"b c\" d='e f'", "a=b\\ c d=e", "=x", "a=b c", "a= b=", "a=$b${c:-d}", "a='x\\", "a=é", "a  b  c ", "a\tb=c", ""},
	"LABEL":       {"a=b", "\"a b\"=\"c d\"", "a b", "x.y/z=1 q=2", "a='b=c'", "a"},
	"ARG":         {"A", "A=1", "A=1 B C=\"x y\"", "=x", "--x A", "A='b c' D", "A\\ B=1", ""},
	"RUN":         {"echo hi", "[\"a\", \"b\"]", "[\"a\", 1]", "[\"a\" \"b\"]", "[]", "", "--mount=type=cache,target=/x go build", "--mount=target=/x,source=y,ro=false --network=none ls", "--security=insecure x", "--network=foo x", "cat <<EOF", "cat <<EOF | sh", "<<EOF", "<<-EOF", "cat <<'EOF' <<\"B C\"", "3<<EOF cat", "echo \"<<EOF\"", "echo $((1<<2))", "echo it's <<EOF", "echo <<<EOF", "--mount=type=secret,id=a,required x", "--mount=required,type=secret x", "--mount=type=$T,target=/c,id=$A,uid=$N x", "--mount=from=$A x", "--mount=type=tmpfs,target=/t,size=64m x", "--mount=type=ssh,mode=0600 x", "--mount=\"type=cache,target=/a b\" x", "--mount=type=cache,target=/c,sharing=locked,mode=0755,gid=5 x", "--mount=foo=bar x", "--mount=ro x", "--mount x", "--mount=type=bind,\"target=/a,b\" x", "-- --foo", "--foo", "<<\\EOF", "<< EOF cat", "cat << EOF", "<<${X:-EOF}", "echo a\\"},
	"COPY":        {"a b", "a", "[\"a b\", \"c\"]", "--from=x a b", "--from=\"x y\" a b", "--chown=1:2 --chmod=755 --link a b c/", "--link=false a b", "--link= a b", "--link=x a b", "--parents --exclude=*.md --exclude=x a b", "<<EOF /x", "<<A <<\"B\" /x/", "a <<EOF b/", "<<EOF", "a <<EOF", "--frm=x a b", "--from=x --from=y a b", "a\\ b c", "<<-EOF /x"},
	"ADD":         {"a b", "http://x/y /z", "--checksum=sha256:00 http://x/y /z", "--keep-git-dir=true g h", "--keep-git-dir g h", "--unpack=false a b", "--from=x a b", "<<EOF /x", "[\"a\",\"b\",\"c\"]"},
	"CMD":         {"[\"a\"]", "a b", "[\"a\",", "[1]", "[]", "", "--x a", "[\"\\u00e9\\ud800\"]", "['a']", "[\"a\"] ", "[\"a\", [\"b\"]]", "{\"a\":1}"},
	"ENTRYPOINT":  {"[\"a\", \"b\"]", "a b", "[]", ""},
	"EXPOSE":      {"80", "80/udp 443", "$P", ""},
	"HEALTHCHECK": {"NONE", "none", "NONE x", "CMD curl x", "--interval=30s --timeout=1m30s --retries=3 CMD [\"a\"]", "--interval=1 CMD a", "--retries=-1 CMD a", "--retries=x CMD a", "CMD", "CMD []", "FOO x", "", "--interval=1us CMD a", "--start-period=1h --start-interval=2s cmd x", "--interval=0 CMD x", "--x=1 CMD a", "--interval=30s NONE"},
	"MAINTAINER":  {"me <me@x>", ""},
	"ONBUILD":     {"RUN x", "FROM x", "ONBUILD RUN x", "", "COPY a b", "COPY a", "RUN <<EOF", "FOO", "ENV a", "CMD [1]", "--x RUN y", "copy <<EOF <<B /x", "MAINTAINER x"},
	"SHELL":       {"[\"/bin/sh\", \"-c\"]", "/bin/sh", "[]", ""},
	"STOPSIGNAL":  {"TERM", "", "$S x", "--x 9"},
	"USER":        {"a", "a:b", "", "a b"},
	"VOLUME":      {"/a", "/a /b", "[\"/a\", \" \"]", "[\"/a\"]", "[]", ""},
	"WORKDIR":     {"/a", "a b", "", "$X/y"},
	"FOO":         {"bar", ""},
	"RUNN":        {"x"},
}

var keywords []string

func init() {
	for _, keyword := range []string{"FROM", "FROM", "ENV", "ENV", "LABEL", "ARG", "RUN", "RUN", "RUN", "RUN", "COPY", "COPY", "COPY", "ADD", "CMD", "ENTRYPOINT", "EXPOSE", "HEALTHCHECK", "HEALTHCHECK", "MAINTAINER", "ONBUILD", "SHELL", "STOPSIGNAL", "USER", "VOLUME", "WORKDIR"} {
		keywords = append(keywords, keyword)
	}
}

func generateFile() []byte {
	var out strings.Builder
	if chance(5) {
		out.WriteString("\ufeff")
	}
	if chance(25) {
		out.WriteString(pick([]string{"# syntax=docker/dockerfile:1\n", "#escape=`\n", "# escape = \\\n", "# check=skip=all\n", "# foo=bar\n# escape=`\n", "#!/bin/x\n# syntax=a b\n", "// syntax=x\n", "# syntax=a\n#syntax=b\n", "# escape=x\n", "  # escape=`\n", "# SYNTAX = up\n# escape=`\n", "#syntax=\n"}))
	}
	escape := "\\"
	if strings.Contains(out.String(), "escape=`") {
		escape = "`"
	}
	out.WriteString("FROM busybox\n")
	for range random.Intn(4) {
		generateInstruction(&out, escape)
	}
	source := out.String()
	if chance(15) {
		source = strings.ReplaceAll(source, "\n", "\r\n")
	}
	if chance(15) {
		source = strings.TrimRight(source, "\r\n")
	}
	if chance(20) {
		source = mutate(source)
	}
	return []byte(source)
}

// mutate takes characters away, puts others in, and doubles stretches.
func mutate(source string) string {
	characters := []rune(source)
	for range random.Intn(4) + 1 {
		at := random.Intn(len(characters) + 1)
		end := min(at+random.Intn(4), len(characters))
		put := []rune(pick([]string{"", "", "\n", "\"", "'", "\\", "<", "<<", "$", "{", "}", "=", "[", "]", ",", "-", "--", "#", " ", "\t", "\r", "é", "\v", "EOF\n"}))
		if chance(20) {
			put = append(put, characters[at:end]...)
			put = append(put, characters[at:end]...)
		}
		characters = slices.Concat(characters[:at], put, characters[end:])
	}
	return string(characters)
}

func generateInstruction(out *strings.Builder, escape string) {
	keyword := pick(keywords)
	if chance(2) {
		keyword = pick([]string{"FOO", "RUNN", escape})
	}
	rest := ""
	if list := fragments[keyword]; list != nil {
		rest = pick(list)
	}
	if chance(20) {
		keyword = strings.ToLower(keyword)
	}
	if chance(10) {
		out.WriteString(pick([]string{"# comment\n", "\n", "  \n", "#\n"}))
	}
	text := keyword + pick(blanks) + rest
	if chance(10) {
		text = pick([]string{"  ", "\t", "\u00a0"}) + text
	}
	for i := 0; chance(25) && i < 3; i++ {
		if at := strings.LastIndex(text, " "); at > 0 {
			joint := pick([]string{" ", ""}) + escape + pick([]string{"", " ", "\t"}) + "\n"
			joint += pick([]string{"", "", "# inside\n", "\n", "  # inside\n", " \t\n"}) + pick([]string{"", "  ", " "})
			text = text[:at] + joint + text[at+1:]
		}
	}
	if chance(5) {
		text += pick([]string{" ", escape + escape, " " + escape, "\t", " # no comment"})
	}
	out.WriteString(text + "\n")
	if strings.Contains(rest, "<<") && chance(90) {
		names := []string{"EOF", "EOF"}
		switch {
		case strings.Contains(rest, "B C"):
			names = []string{"EOF", "B C"}
		case strings.Contains(rest, "<<A"):
			names = []string{"A", "B"}
		case strings.Contains(rest, "<<B"):
			names = []string{"EOF", "B"}
		default:
			names = names[:1]
		}
		for _, name := range names {
			out.WriteString(pick([]string{"", "one\n", "\ttwo $A\n", "#!/bin/sh\n# not a comment\n", "RUN x\n", escape + "\n", " EOF\n"}))
			out.WriteString(pick([]string{"", "", "", "\t"}) + name + "\n")
		}
	}
}
