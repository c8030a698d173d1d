import { benchQuestion } from "./_question.ts";

await benchQuestion("attention");
