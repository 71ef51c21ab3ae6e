"""Options belong to entries (models, optimisers): they choose theirs where none is named, and are refused beside
another; --help says whose they are."""
from program import ProgramTest, main

SMALL = ["--steps", 6, "--width", 4, "--batch", 2]

# (words, model that they choose)
CHOSEN = [
    ([], "resnet"),
    (["--activation", "relu"], "resnet"),
    (["--layer-norm"], "resnet"),
    (["--contraction", 0.5], "affine"),
    (["--model", "mlp", "--activation", "relu", "--no-bias"], "mlp"),
]
# (words, phrases of the answer)
REFUSED = [
    (["--model", "mlp", "--contraction", 0.5],
     ["--contraction 0.5 goes with --model affine, not with mlp; leave it out"]),
    (["--model", "mlp", "--layer-norm"], ["--layer-norm goes with --model resnet, not with mlp"]),
    (["--model", "mlp", "--block-layers", 2], ["--block-layers 2", "resnet", "mlp"]),
    (["--model", "mlp", "--residual-scale", "1/L"], ["--residual-scale 1/L", "resnet", "mlp"]),
    (["--model", "affine", "--activation", "relu"], ["--activation relu", "mlp or resnet", "affine"]),
    (["--model", "affine", "--no-bias"], ["--no-bias", "mlp or resnet", "affine"]),
    (["--layer-norm", "--contraction", 0.5], ["--layer-norm", "--contraction 0.5", "leave one of them out"]),
]


class Options(ProgramTest):
    def test_options_choose_their_model(self):
        for words, model in CHOSEN:
            with self.subTest(words=words):
                self.assertEqual(self.solved("solve", *SMALL, *words)["model"], model)
        self.assertEqual(self.solved("check", "--contraction", 0.5)["model"], "affine")

    def test_options_of_another_model_are_refused(self):
        for words, phrases in REFUSED:
            for command in ("solve", "gradient", "check", "train"):
                with self.subTest(command=command, words=words):
                    self.assert_refused(self.run_here(command, *words), *phrases)

    def test_options_of_schedules_optimisers_and_losses(self):
        words = ["train", "--data", "random", "--samples", 32, "--test-samples", 16, *SMALL]
        for more in (["--decay", 0.5, "--decay-every", 1], ["--floor", 0.1, "--max-steps", 3]):
            self.solved(*words, *more)
        self.assert_refused(self.run_here(*words, "--schedule", "constant", "--decay", 0.5),
                            "--decay 0.5 goes with --schedule step, not with constant; leave it out")
        self.assert_refused(self.run_here(*words, "--optimiser", "adam", "--nesterov"),
                            "--nesterov goes with --optimiser sgd, not with adam; leave it out")
        self.assert_refused(self.run_here(*words, "--loss", "cross-entropy", "--loss-rows", "every"),
                            "--loss-rows every goes with --loss squared-error", "leave it out")
        self.assert_refused(self.run_here(*words, "--floor", 0.1, "--decay", 0.5),
                            "--floor 0.1", "cosine", "--decay 0.5", "step")

    def test_a_file_counts_as_given(self):
        (self.folder / "run.ini").write_text("[solve]\ncontraction = 0.5\n")
        chosen = self.solved("solve", *SMALL, "--config", "run.ini")
        self.assertEqual(chosen["model"], "affine")
        self.assert_refused(self.run_here("solve", "--model", "mlp", "--config", "run.ini"),
                            "--contraction 0.5", "affine", "mlp")
        # what older versions wrote: every option of every model
        (self.folder / "run.ini").write_text("[solve]\nmodel = mlp\ncontraction = 0.9\nblock-layers = 2\n"
                                             "layer-norm = false\nresidual-scale = 1/sqrt(L)\n")
        self.assertEqual(self.solved("solve", *SMALL, "--config", "run.ini")["model"], "mlp")

    def test_help_says_whose_an_option_is(self):
        for command in ("solve", "gradient", "check", "train"):
            done = self.run_here(command, "--help", ranks=1)
            self.assertEqual(done.code, 0, done.err)
            for phrase in ("resnet: layers in a block", "mlp, resnet: layers without bias",
                           "affine: random affine steps"):
                self.assertIn(phrase, done.out)
            for line in done.out.splitlines():
                self.assertLessEqual(len(line), 100, line)
            for name in ("--activation", "--contraction"):
                self.assertEqual(done.out.count(f"\n  {name} "), 1, name)


if __name__ == "__main__":
    main()
