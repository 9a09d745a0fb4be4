import { matrixCases } from "./cases-matrix.ts";
import { StaticPeers } from "./peer-source.ts";

matrixCases("static", async (world) => new StaticPeers(world));
