package main

import (
	"context"
	"encoding/json"
	"strings"

	"github.com/moby/buildkit/client/llb/sourceresolver"
	"github.com/moby/buildkit/frontend/dockerfile/dockerfile2llb"
	"github.com/moby/buildkit/frontend/dockerui"
	digest "github.com/opencontainers/go-digest"
)

// resolver answers for every image.
type resolver struct{}

func (resolver) ResolveImageConfig(_ context.Context, ref string, _ sourceresolver.Opt) (string, digest.Digest, []byte, error) {
	data, err := json.Marshal(object{"architecture": "amd64", "os": "linux", "config": object{}, "rootfs": object{"type": "layers", "diff_ids": []string{"sha256:" + strings.Repeat("0", 64)}}})
	return ref, "", data, err
}

var stageNames = []string{"one", "two", "three", "Two", "0", "1", "5", "-1", "scratch", "busybox"}

func graphCase() any {
	var file strings.Builder
	if chance(30) {
		file.WriteString(pick([]string{"ARG BASE=busybox\n", "ARG BASE\n", "ARG BASE=one\n", "ARG BASE=${TARGETARCH}\n", "RUN x\n", "ENV a=b\n"}))
	}
	for range random.Intn(4) + 1 {
		file.WriteString("FROM " + pick([]string{"", "", "", "--platform=$BUILDPLATFORM ", "--platform=$NONE "}))
		file.WriteString(pick([]string{"busybox", "scratch", "one", "two", "three", "$BASE", "${BASE:-two}", "$NONE"}))
		if chance(70) {
			file.WriteString(" AS " + pick([]string{"one", "two", "three", "ONE"}))
		}
		file.WriteString("\n")
		for range random.Intn(3) {
			from := pick(stageNames)
			file.WriteString(pick([]string{
				"COPY --from=" + from + " /a /b\n", "RUN --mount=from=" + from + ",target=/m true\n", "RUN true\n", "COPY --from=$BASE /a /b\n",
				"ONBUILD COPY --from=" + from + " /a /b\n",
			}))
		}
	}
	source := file.String()
	target := ""
	if chance(40) {
		target = pick([]string{"one", "two", "three", "ONE", "none"})
	}
	opt := dockerfile2llb.ConvertOpt{MetaResolver: resolver{}, Config: dockerui.Config{Target: target}}
	answer := object{"source": source, "target": target}
	if _, err := dockerfile2llb.Dockerfile2LLB(context.Background(), []byte(source), opt); err != nil {
		answer["error"] = err.Error()
	}
	return answer
}
