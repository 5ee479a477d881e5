package main

import "context"

func (r *setupRun) lookAtMachine(ctx context.Context) {}

func (r *setupRun) lookAtNetwork(ctx context.Context) {}
