#!/bin/sh
# Stands before rustc for the crates of the workspace (RUSTC_WORKSPACE_WRAPPER) and adds what libFuzzer is guided by: a
# counter per branch, and what was compared with what. What other crates do is not of interest, so that their ordinary
# builds serve; nor is what the targets do themselves.
case " $* " in
*" --crate-name fuzz "* | *" --crate-name test_support "*) exec "$@" ;;
esac
exec "$@" -Cpasses=sancov-module \
    -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares \
    -Cllvm-args=-simplifycfg-branch-fold-threshold=0
