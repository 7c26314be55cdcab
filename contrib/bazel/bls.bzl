"""bls_artifact: a signed artifact of a module, by Bazel."""

def _impl(ctx):
    out = ctx.actions.declare_file(ctx.label.name + ".bls")
    ctx.actions.run(
        executable = ctx.executable.compiler,
        arguments = [ctx.file.src.path, "-o", out.path, "--quiet", "--name", ctx.label.name,
                     "--key", "exec:" + ctx.executable.signer.path,
                     "--public-key", ctx.file.public_key.path] + ctx.attr.flags,
        inputs = [ctx.file.src, ctx.file.public_key],
        tools = [ctx.executable.compiler, ctx.executable.signer],
        outputs = [out],
        mnemonic = "BlsCompile",
    )
    return [DefaultInfo(files = depset([out]))]

bls_artifact = rule(implementation = _impl, attrs = {
    "src": attr.label(allow_single_file = [".wasm", ".wat"], mandatory = True),
    "public_key": attr.label(allow_single_file = True, mandatory = True),
    "signer": attr.label(executable = True, cfg = "exec", mandatory = True),
    "compiler": attr.label(executable = True, cfg = "exec", default = "//tools:bls-compile"),
    "flags": attr.string_list(),
})
