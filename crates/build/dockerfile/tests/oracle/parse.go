package main

import (
	"bytes"
	"fmt"
	"os"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"github.com/moby/buildkit/frontend/dockerfile/shell"
)

type object = map[string]any

// fixedCases reads cases.txt: files separated by lines of "-----".
func fixedCases(mode string) []any {
	if mode != "parse" {
		return nil
	}
	data, err := os.ReadFile("cases.txt")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	var answers []any
	for _, source := range strings.Split(string(data), "-----\n") {
		answers = append(answers, parseAnswer([]byte(source)))
		answers = append(answers, parseAnswer([]byte(strings.ReplaceAll(source, "\n", "\r\n"))))
	}
	return answers
}

func parseAnswer(source []byte) any {
	answer := object{"source": source}
	syntax, _, _, ok := parser.DetectSyntax(source)
	if ok {
		answer["syntax"] = syntax
	}
	result, err := parser.Parse(bytes.NewReader(source))
	if err != nil {
		answer["error"] = err.Error()
		return answer
	}
	stages, meta, err := instructions.Parse(result.AST, nil)
	if err == nil && len(stages) == 0 {
		err = fmt.Errorf("no stages")
	}
	if err != nil {
		answer["error"] = err.Error()
		return answer
	}
	answer["escape"] = string(result.EscapeToken)
	answer["warnings"] = len(result.Warnings)
	var all []any
	for _, arg := range meta {
		all = append(all, dump(&arg))
	}
	for _, stage := range stages {
		all = append(all, object{
			"kind": "from", "lines": lines(stage.Location), "image": stage.BaseName, "name": stage.Name,
			"platform": stage.Platform,
		})
		for _, command := range stage.Commands {
			all = append(all, dump(command))
		}
	}
	answer["instructions"] = all
	return answer
}

func lines(ranges []parser.Range) []int {
	first, last := 1<<30, 0
	for _, r := range ranges {
		first = min(first, r.Start.Line)
		last = max(last, r.End.Line)
	}
	return []int{first, last}
}

func pairs(list instructions.KeyValuePairs) []any {
	var out []any
	for _, kv := range list {
		out = append(out, []any{kv.Key, kv.Value, kv.NoDelim})
	}
	return out
}

func commandLine(line instructions.ShellDependantCmdLine) object {
	out := object{"exec": !line.PrependShell}
	if line.PrependShell {
		out["line"] = strings.Join(line.CmdLine, "")
	} else {
		out["line"] = append([]string{}, line.CmdLine...)
	}
	return out
}

func files(list []instructions.ShellInlineFile) []any {
	out := []any{}
	for _, file := range list {
		out = append(out, []any{file.Name, file.Data, file.Chomp})
	}
	return out
}

func transfer(kind string, copied instructions.SourcesAndDest, rest object) object {
	contents := []any{}
	for _, content := range copied.SourceContents {
		contents = append(contents, []any{content.Path, content.Data, content.Expand})
	}
	rest["kind"] = kind
	rest["sources"] = append([]string{}, copied.SourcePaths...)
	rest["contents"] = contents
	rest["destination"] = copied.DestPath
	return rest
}

func optional(b *bool) any {
	if b == nil {
		return nil
	}
	return *b
}

var mountEnv = shell.EnvsFromSlice([]string{"A=alpha", "T=cache", "N=42"})

func dump(command instructions.Command) object {
	out := dumpKind(command)
	out["lines"] = lines(command.Location())
	return out
}

func dumpKind(command instructions.Command) object {
	switch c := command.(type) {
	case *instructions.EnvCommand:
		return object{"kind": "env", "pairs": pairs(c.Env)}
	case *instructions.LabelCommand:
		return object{"kind": "label", "pairs": pairs(c.Labels)}
	case *instructions.MaintainerCommand:
		return object{"kind": "maintainer", "text": c.Maintainer}
	case *instructions.AddCommand:
		return transfer("add", c.SourcesAndDest, object{
			"chown": c.Chown, "chmod": c.Chmod, "link": c.Link, "exclude": append([]string{}, c.ExcludePatterns...),
			"checksum": c.Checksum, "keep_git_dir": optional(c.KeepGitDir), "unpack": optional(c.Unpack),
		})
	case *instructions.CopyCommand:
		return transfer("copy", c.SourcesAndDest, object{
			"chown": c.Chown, "chmod": c.Chmod, "link": c.Link, "exclude": append([]string{}, c.ExcludePatterns...),
			"from": c.From, "parents": c.Parents,
		})
	case *instructions.OnbuildCommand:
		return object{"kind": "onbuild", "text": c.Expression}
	case *instructions.WorkdirCommand:
		return object{"kind": "workdir", "text": c.Path}
	case *instructions.UserCommand:
		return object{"kind": "user", "text": c.User}
	case *instructions.StopSignalCommand:
		return object{"kind": "stopsignal", "text": c.Signal}
	case *instructions.VolumeCommand:
		return object{"kind": "volume", "list": c.Volumes}
	case *instructions.ExposeCommand:
		return object{"kind": "expose", "list": c.Ports}
	case *instructions.ShellCommand:
		return object{"kind": "shell", "list": c.Shell}
	case *instructions.CmdCommand:
		return object{"kind": "cmd", "command": commandLine(c.ShellDependantCmdLine)}
	case *instructions.EntrypointCommand:
		return object{"kind": "entrypoint", "command": commandLine(c.ShellDependantCmdLine)}
	case *instructions.RunCommand:
		return dumpRun(c)
	case *instructions.ArgCommand:
		list := []any{}
		for _, arg := range c.Args {
			var value any
			if arg.Value != nil {
				value = *arg.Value
			}
			list = append(list, []any{arg.Key, value})
		}
		return object{"kind": "arg", "list": list}
	case *instructions.HealthCheckCommand:
		h := c.Health
		return object{
			"kind": "healthcheck", "test": h.Test, "interval": int64(h.Interval), "timeout": int64(h.Timeout),
			"start_period": int64(h.StartPeriod), "start_interval": int64(h.StartInterval), "retries": h.Retries,
		}
	}
	return object{"kind": fmt.Sprintf("%T", command)}
}

func dumpRun(c *instructions.RunCommand) object {
	out := object{
		"kind": "run", "command": commandLine(c.ShellDependantCmdLine), "files": files(c.Files),
		"network": instructions.GetNetwork(c), "security": instructions.GetSecurity(c),
	}
	lex := shell.NewLex('\\')
	err := c.Expand(func(word string) (string, error) {
		text, _, err := lex.ProcessWord(word, mountEnv)
		return text, err
	})
	if err != nil {
		out["mounts_error"] = err.Error()
		return out
	}
	mounts := []any{}
	for _, m := range instructions.GetMounts(c) {
		number := func(n *uint64) any {
			if n == nil {
				return nil
			}
			return *n
		}
		// Found only later there, where the step is put together.
		if m.Target == "/" && m.Type != instructions.MountTypeSecret && m.Type != instructions.MountTypeSSH {
			out["mounts_error"] = "invalid mount target"
			return out
		}
		var env any
		if m.Env != nil {
			env = *m.Env
		}
		mounts = append(mounts, object{
			"type": m.Type, "from": m.From, "source": m.Source, "target": m.Target, "read_only": m.ReadOnly,
			"size": m.SizeLimit, "id": m.CacheID, "sharing": m.CacheSharing, "required": m.Required, "env": env,
			"mode": number(m.Mode), "uid": number(m.UID), "gid": number(m.GID),
		})
	}
	out["mounts"] = mounts
	return out
}
