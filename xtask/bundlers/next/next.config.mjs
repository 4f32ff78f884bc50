// Nothing in it is for the package: the site is written as plain files.
export default { output: "export" };
