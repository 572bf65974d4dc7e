package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/shell"
	"github.com/moby/patternmatcher"
	"github.com/moby/patternmatcher/ignorefile"
)

func several(most int, from []string) string {
	var out strings.Builder
	for range random.Intn(most) + 1 {
		out.WriteString(pick(from))
	}
	return out.String()
}

var expandPieces = []string{
	"a", "b", "foo", "/", ".", " ", "  ", "\t", "$A", "$B", "${A}", "${U}", "$U", "${E}", "$E", "$S", "${S}", "'", "\"", "\\", "`", "$", "{", "}", "<", "<<", "<< ", "=", ":",
	"${A:-x}", "${U:-x y}", "${U:-$A}", "${U-'q'}", "${E:-d}", "${E-d}", "${A:+p}", "${U:+p}", "${E+p}", "${A:?no}", "${U:?no}", "${U?}", "${E:?}", "${A#*/}", "${A##*/}", "${A%/*}",
	"${A%%/*}", "${P#a?}", "${P%.*}", "${P//a/X}", "${P/a/X}", "${P//\\//_}", "${P/*a/Z}", "${P%\"b\"}", "${P#'a'}", "${P//a/$B}", "${P//./\\$0}", "${U:-${E:-${B}}}", "${:}", "${}", "${{", "${A:=x}", "${A",
	"${A#\\*}", "${A/[/x}", "${A//?/q}", "'$A'", "\"$A b\"", "\\$A", "\\\"", "é", "日", "$1", "$12x", "$@", "$_", "${P/#/x}", "${P/a}",
}

var expandValues = map[string]string{"A": "us/local/bin", "B": "b c", "E": "", "S": " lead  trail ", "P": "aXb.a/a.tar.gz"}

func expandCase() any {
	word := several(6, expandPieces)
	escape := '\\'
	if chance(20) {
		escape = '`'
	}
	var env []string
	for key, value := range expandValues {
		env = append(env, key+"="+value)
	}
	lex := shell.NewLex(escape)
	flags := random.Intn(16)
	if chance(60) {
		flags = 0
	}
	lex.RawQuotes = flags&1 != 0
	lex.RawEscapes = flags&2 != 0
	lex.SkipProcessQuotes = flags&4 != 0
	lex.SkipUnsetEnv = flags&8 != 0
	answer := object{"word": word, "escape": string(escape), "flags": flags}
	result, err := lex.ProcessWordWithMatches(word, shell.EnvsFromSlice(env))
	if err != nil {
		answer["error"] = err.Error()
		return answer
	}
	names := func(set map[string]struct{}) []string {
		list := []string{}
		for name := range set {
			list = append(list, name)
		}
		return list
	}
	answer["result"] = result.Result
	answer["used"] = names(result.Matched)
	answer["unset"] = names(result.Unmatched)
	words, err := lex.ProcessWords(word, shell.EnvsFromSlice(env))
	if err == nil {
		answer["words"] = append([]string{}, words...)
	}
	return answer
}

var patternPieces = []string{"a", "b", "c", "ab", "/", "/", "*", "**", "**/", "?", "[ab]", "[^a]", "[a-c]", ".", "..", "\\*", "\\a", "[", "]", "[\\]a]", "[[b]", "[*]", "[a.]", "-", "x.go", "+", "^", "!"}

// ignorePieces are closed: a bracket that is not is refused here even where upstream does not get to it.
var ignorePieces = slices.DeleteFunc(slices.Clone(patternPieces), func(piece string) bool { return piece == "[" })
var pathPieces = []string{"a", "b", "c", "ab", "/", "/", ".", "x.go", "*", "-", "+", "]", "^"}

func ignoreCase() any {
	var file []string
	for range random.Intn(4) + 1 {
		line := several(4, ignorePieces)
		if chance(30) {
			line = "!" + line
		}
		if chance(10) {
			line = pick([]string{" " + line, line + "  ", "#" + line, "", "! " + line, "/" + line})
		}
		file = append(file, line)
	}
	source := strings.Join(file, "\n")
	if chance(30) {
		source += "\r\n"
	}
	answer := object{"source": source}
	patterns, err := ignorefile.ReadAll(strings.NewReader(source))
	if err != nil {
		answer["error"] = err.Error()
		return answer
	}
	matcher, err := patternmatcher.New(patterns)
	if err != nil {
		answer["error"] = err.Error()
		return answer
	}
	results := []any{}
	for range 8 {
		path := strings.Trim(filepath.Clean("/"+several(5, pathPieces)), "/")
		if path == "" {
			continue
		}
		ignored, err := alongWalk(matcher, path)
		if err != nil {
			answer["error"] = err.Error()
			return answer
		}
		results = append(results, []any{path, ignored})
	}
	answer["results"] = results
	return answer
}

// alongWalk matches as a walk from the top does: each folder with what is known of the one above.
func alongWalk(matcher *patternmatcher.PatternMatcher, path string) (bool, error) {
	parts := strings.Split(path, string(os.PathSeparator))
	var info patternmatcher.MatchInfo
	var ignored bool
	for i := range parts {
		var err error
		ignored, info, err = matcher.MatchesUsingParentResults(strings.Join(parts[:i+1], "/"), info)
		if err != nil {
			return false, err
		}
	}
	return ignored, nil
}

func matchCase() any {
	pattern := several(5, patternPieces)
	name := several(5, pathPieces)
	matched, err := filepath.Match(pattern, name)
	return object{"pattern": pattern, "name": name, "matched": matched, "malformed": err != nil}
}
