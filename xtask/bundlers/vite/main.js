import { load } from "quintet";
import { tell } from "../tell.js";
import texts from "../texts.json";

tell(load("bundle/"), texts);
