// Command oracle asks BuildKit's own Dockerfile frontend what it makes of inputs, and writes inputs and answers as lines of JSON.
//
// Record the answers that the tests compare with (from this folder):
//
//	go run . -count 400 parse  > ../data/parse.jsonl
//	go run . -count 900 expand > ../data/expand.jsonl
//	go run . -count 700 ignore > ../data/ignore.jsonl
//	go run . -count 500 match  > ../data/match.jsonl
//	go run . -count 300 graph  > ../data/graph.jsonl
//
// Inputs come from a generator with a fixed seed, and from cases.txt; -seed gives others.
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand"
	"os"
)

var random *rand.Rand

func pick[T any](from []T) T { return from[random.Intn(len(from))] }

func chance(percent int) bool { return random.Intn(100) < percent }

func main() {
	count := flag.Int("count", 100, "number of generated inputs")
	seed := flag.Int64("seed", 1, "seed of the generator")
	flag.Parse()
	random = rand.New(rand.NewSource(*seed))
	modes := map[string]func() any{
		"parse":  func() any { return parseAnswer(generateFile()) },
		"expand": expandCase,
		"ignore": ignoreCase,
		"match":  matchCase,
		"graph":  graphCase,
	}
	mode, ok := modes[flag.Arg(0)]
	if !ok {
		fmt.Fprintln(os.Stderr, "usage: oracle [-count N] [-seed N] parse|expand|ignore|match|graph")
		os.Exit(2)
	}
	out := bufio.NewWriter(os.Stdout)
	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false)
	write := func(answer any) {
		if err := encoder.Encode(answer); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	for _, fixed := range fixedCases(flag.Arg(0)) {
		write(fixed)
	}
	for range *count {
		write(mode())
	}
	if err := out.Flush(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
