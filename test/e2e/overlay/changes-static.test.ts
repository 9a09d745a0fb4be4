import { changeCases } from "./cases-changes.ts";
import { StaticPeers } from "./peer-source.ts";

changeCases("static", async (world) => new StaticPeers(world));
