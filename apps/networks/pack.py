#!/usr/bin/python3
"""Packs a trained autoencoder and denoiser into one small file: float32, compressed.

    pack.py autoencoder.h5 denoiser.h5 -o fashion_mnist.h5
"""
import argparse

import h5py


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("autoencoder", help="checkpoint of deeppcr train --model autoencoder")
    parser.add_argument("denoiser", help="checkpoint of deeppcr train --model denoiser")
    parser.add_argument("-o", "--output", required=True)
    options = parser.parse_args()
    with h5py.File(options.output, "w") as packed:
        for name in ("autoencoder", "denoiser"):
            with h5py.File(getattr(options, name), "r") as trained:
                group = trained[f"state/{name}"]
                packed.create_dataset(f"state/{name}/parameters", data=group["parameters"][()].ravel(),
                                      dtype="f4", compression="gzip", compression_opts=9,
                                      shuffle=True)
                packed[f"state/{name}/shape"] = group["shape"][()].ravel()
                packed[f"state/{name}"].attrs["command_line"] = trained.attrs["command_line"]


if __name__ == "__main__":
    main()
